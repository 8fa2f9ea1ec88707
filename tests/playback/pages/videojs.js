// video.js, with videojs-contrib-eme for encrypted samples: the page answers what the key system asks.
'use strict';
async function player(video, plan, report) {
  const made = videojs(video, {html5: {vhs: {overrideNative: true, ...plan.settings}, nativeTextTracks: false, nativeAudioTracks: false,
    nativeVideoTracks: false}});
  made.on('error', () => report.error(JSON.stringify(made.error())));
  await new Promise(done => made.ready(done));
  const answer = (options, message, done) => {
    fetch(plan.license, {method: 'POST', body: message}).then(answered => answered.arrayBuffer()).then(body => done(null, body), done);
  };
  if (plan.eme) made.eme();
  const type = plan.manifest === 'dash' ? 'application/dash+xml' : 'application/x-mpegURL';
  made.src({src: plan.url, type, ...(plan.eme ? {keySystems: {'org.w3.clearkey': {getLicense: answer}}} : {})});
  await Promise.race([new Promise(done => made.one('loadedmetadata', done)), wait(15000)]);
  const vhs = made.tech({IWillNotUseThisInPlugins: true}).vhs;
  const named = (one, name) => plan.manifest === 'dash' ? one.playlist.attributes.NAME === `video-${name}` : one.playlist.resolvedUri.endsWith(`/video-${name}.m3u8`);
  const choose = async one => {  // only what is enabled anew replaces what is buffered
    for (const other of vhs.representations()) other.enabled(false);
    one.enabled(true);
    await near('another playlist', () => vhs.playlists.media() === one.playlist || vhs.playlists.media().id === one.id);
    await wait(150);
    video.currentTime = 0;  // it had ended, and fetches nothing before a seek
  };
  return {
    async force(name) {
      const one = vhs.representations().find(other => named(other, name));
      if (!one) throw new Error(`no level ${name}: ${vhs.representations().map(other => other.playlist.attributes.NAME || other.playlist.resolvedUri)}`);
      await choose(one);
    },
    // A group of another layout belongs to other variants: there is no other way to choose it.
    async audio(track) {
      const group = plan.manifest === 'hls' && vhs.representations().find(one => one.playlist.attributes.AUDIO === `audio-${track.channels}ch`);
      if (group) await choose(group);
      const tracks = [...Array(made.audioTracks().length).keys()].map(at => made.audioTracks()[at]);
      const one = tracks.find(other => other.label === track.name) || tracks.find(other => other.label === track.member);
      if (!one) throw new Error(`no audio ${track.name}: ${tracks.map(other => other.label)}`);
      one.enabled = true;
    },
    async text(track) {
      const tracks = [...Array(made.textTracks().length).keys()].map(at => made.textTracks()[at]).filter(other => other.kind === 'subtitles');
      if (!tracks.some(other => other.language === track.language)) throw new Error(`no text ${track.name}`);
      for (const other of tracks) other.mode = other.language === track.language ? 'showing' : 'disabled';
    },
    cues: () => [...Array(made.textTracks().length).keys()].map(at => made.textTracks()[at]).filter(track => track.mode === 'showing')
      .flatMap(track => [...Array((track.cues || []).length).keys()].map(at => track.cues[at]))
      .map(cue => ['', cue.startTime, cue.endTime, cue.text]),
    async about() { return {levels: vhs.representations().map(one => [one.width, one.height])}; },
  };
}
