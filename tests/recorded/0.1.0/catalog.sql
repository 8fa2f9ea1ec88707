BEGIN TRANSACTION;
CREATE TABLE vidpipe_catalog (
	name VARCHAR(64) NOT NULL, 
	value VARCHAR(255) NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "vidpipe_catalog" VALUES('schema_version','1');
CREATE TABLE vidpipe_versions (
	content_id VARCHAR(255) NOT NULL, 
	version VARCHAR(64) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	created_at VARCHAR(32) NOT NULL, 
	fingerprint VARCHAR(255) NOT NULL, 
	record JSON NOT NULL, 
	PRIMARY KEY (content_id, version)
);
INSERT INTO "vidpipe_versions" VALUES('film','20261126T155737Z-abe17b','live','2026-11-26T15:57:40+00:00','4e84aa9e7c42a35b7821eda6d034723ba535f555a0935428e95107fb4f6d3d40','{"schema": "vidpipe.catalog/1", "content_id": "film", "version": "20261126T155737Z-abe17b", "status": "live", "title": "A Film", "created_at": "2026-11-26T15:57:40Z", "duration": 1.0, "source": {"name": "one-second.mp4", "sha256": "f2c6f4f9c7de5f4534f90d0457c88ba73c0004ab339bdd426bce81dc89784e5a", "size": 20646}, "playback": {"hls": "/library/film/20261126T155737Z-abe17b/master.m3u8"}, "renditions": [{"id": "90p", "type": "video", "codecs": "avc1.42C00B", "width": 160, "height": 90, "frame_rate": 30.0, "bandwidth": 91648, "average_bandwidth": 91648, "url": "/library/film/20261126T155737Z-abe17b/video-90p.m3u8", "segments": 1}, {"id": "und", "type": "audio", "codecs": "mp4a.40.2", "width": null, "height": null, "frame_rate": null, "bandwidth": 57024, "average_bandwidth": 57024, "url": "/library/film/20261126T155737Z-abe17b/audio-und.m3u8", "segments": 1}], "audio": [{"id": "und", "name": "Main", "language": null, "channels": 2, "default": true}], "subtitles": [], "thumbnails": {"poster": "/library/film/20261126T155737Z-abe17b/thumbnails/poster.jpg", "track": "/library/film/20261126T155737Z-abe17b/thumbnails/thumbnails.vtt"}, "encryption": {"method": "aes-128", "key_ids": ["b6a683d23612c0ccbb9c47396399db4d"]}, "cache": {"video": 604800, "thumbnails": 2592000, "metadata": 3600}, "metadata": {}}');
CREATE UNIQUE INDEX vidpipe_one_live_version ON vidpipe_versions (content_id) WHERE status = 'live';
COMMIT;
