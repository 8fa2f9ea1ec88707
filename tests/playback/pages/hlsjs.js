// hls.js. It has keys of encrypted samples from a key system only: the page says that the identity key format is ClearKey's (see
// docs/encryption.md), and where the license server is.
'use strict';
class AsClearKey extends Hls.DefaultConfig.loader {
  load(context, config, callbacks) {
    const passOn = callbacks.onSuccess;
    const asClearKey = line => line.replace(/,IV=0x[0-9A-F]+/, '') + ',KEYFORMAT="org.w3.clearkey"';
    super.load(context, config, {...callbacks, onSuccess: (response, ...rest) => {
      response.data = response.data.replace(/^#EXT-X-(SESSION-)?KEY:METHOD=SAMPLE-AES.*$/gm, asClearKey); passOn(response, ...rest); }});
  }
}
async function player(video, plan, report) {
  const eme = plan.eme ? {emeEnabled: true, pLoader: AsClearKey, drmSystems: {'org.w3.clearkey': {licenseUrl: plan.license}}} : {};
  const hls = new Hls({...eme, ...plan.settings});
  hls.on(Hls.Events.ERROR, (_, e) => {
    if (e.details === Hls.ErrorDetails.BUFFER_STALLED_ERROR && !e.fatal) report.stall();
    else if (e.details !== Hls.ErrorDetails.INTERNAL_ABORTED) report.error(`${e.details} ${e.error || ''}`.trim());  // of what a switch made idle
  });
  hls.on(Hls.Events.AUDIO_TRACK_SWITCHED, (_, e) => report.audio([e.groupId, e.name]));
  const parsed = new Promise(done => hls.on(Hls.Events.MANIFEST_PARSED, done));
  hls.loadSource(plan.url);
  hls.attachMedia(video);
  await Promise.race([parsed, wait(15000)]);
  return {
    async force(name) {
      const index = hls.levels.findIndex(level => level.uri.endsWith(`/video-${name}.m3u8`));
      if (index < 0) throw new Error(`no level ${name}`);
      hls.currentLevel = index;
      await wait(100);
      video.currentTime = 0;  // it had ended, and fetches nothing before a seek
    },
    async audio(track) {
      const there = hls.setAudioOption({lang: track.language, name: track.member, channels: String(track.channels)});
      if (!there) throw new Error(`no audio ${track.name}`);
    },
    async text(track) { hls.subtitleTrack = hls.subtitleTracks.findIndex(other => other.lang === track.language); hls.subtitleDisplay = true; },
    async about() {
      return {levels: hls.levels.map(level => [level.width, level.height]), audio: hls.allAudioTracks.map(track => [track.lang, track.name])};
    },
  };
}
