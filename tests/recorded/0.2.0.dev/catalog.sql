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
INSERT INTO "vidpipe_versions" VALUES('film','20261126T155633Z-f5fa25','live','2026-11-26T15:56:38+00:00','36c3587af69af0fa673d9cdfd8e62c89509906f18a8143fff4797b1e48fade48','{"schema": "vidpipe.catalog/1", "content_id": "film", "version": "20261126T155633Z-f5fa25", "status": "live", "title": "A Film", "created_at": "2026-11-26T15:56:38Z", "duration": 1.0, "source": {"name": "one-second.mp4", "sha256": "f2c6f4f9c7de5f4534f90d0457c88ba73c0004ab339bdd426bce81dc89784e5a", "size": 20646, "languages": {}}, "playback": {"hls": "/library/film/20261126T155633Z-f5fa25/master.m3u8"}, "renditions": [{"id": "90p", "type": "video", "codecs": "avc1.42C00B", "width": 160, "height": 90, "frame_rate": 30.0, "bandwidth": 87680, "average_bandwidth": 87680, "url": "/library/film/20261126T155633Z-f5fa25/video-90p.m3u8", "segments": 1}, {"id": "und", "type": "audio", "codecs": "mp4a.40.2", "width": null, "height": null, "frame_rate": null, "bandwidth": 57400, "average_bandwidth": 57400, "url": "/library/film/20261126T155633Z-f5fa25/audio-und.m3u8", "segments": 1}], "audio": [{"id": "und", "name": "Main", "language": null, "channels": 2, "default": true, "role": "main", "cut": 0.0}], "subtitles": [], "left_out": [], "thumbnails": {"poster": "/library/film/20261126T155633Z-f5fa25/thumbnails/poster.jpg", "track": "/library/film/20261126T155633Z-f5fa25/thumbnails/thumbnails.vtt"}, "encryption": {"method": "aes-128", "key_ids": ["758e388f561a7964c0a3a03af244fde6"]}, "cache": {"video": 604800, "thumbnails": 2592000, "metadata": 3600}, "metadata": {}}');
CREATE UNIQUE INDEX vidpipe_one_live_version ON vidpipe_versions (content_id) WHERE status = 'live';
COMMIT;
