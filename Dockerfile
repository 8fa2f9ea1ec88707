# vidpipe with everything it needs; docs/recipes.md shows how to run it. Python 3.11 is the version that CI tests.
FROM python:3.11-slim

# The wheel brings its own ffmpeg: nothing comes from apt. The extras are for a catalog on PostgreSQL and for the workers of a cluster.
COPY pyproject.toml README.md LICENSE /src/
COPY vidpipe /src/vidpipe/
COPY ladders /src/ladders/
COPY .ci/requirements.txt /src/constraints.txt
RUN pip install --no-cache-dir -c /src/constraints.txt '/src[cluster,postgres]' && rm -r /src

# No user of the base image: 10001 owns the state (with the keys) and the titles, which are two volumes, so that a web server gets one.
RUN install -d -m 700 -o 10001 -g 10001 /var/lib/vidpipe && install -d -o 10001 -g 10001 /srv/titles
ENV VIDPIPE_HOME=/var/lib/vidpipe VIDPIPE_TARGET=/srv/titles HOME=/var/lib/vidpipe USER=vidpipe
VOLUME ["/var/lib/vidpipe", "/srv/titles"]
USER 10001:10001
WORKDIR /media

ENTRYPOINT ["vidpipe"]
CMD ["--help"]
