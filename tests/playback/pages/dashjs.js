// dash.js. In a manifest stands no address of a key: it has them from the page.
'use strict';
async function player(video, plan, report) {
  const made = dashjs.MediaPlayer().create();
  made.updateSettings({debug: {logLevel: 1}, streaming: {text: {defaultEnabled: true}}});
  if (plan.settings) made.updateSettings(plan.settings);
  if (plan.lowest) {
    made.updateSettings({streaming: {abr: {limitBitrateByPortal: false, initialBitrate: {video: 50}}}});
    const rate = track => track.bitrateList[0].bandwidth;
    made.setCustomInitialTrackSelectionFunction(tracks => [...tracks].sort((a, b) => rate(a) - rate(b)).slice(0, 1));
  }
  made.on('error', e => report.error(JSON.stringify(e.error)));
  made.initialize(video, null, false);
  if (plan.eme) made.setProtectionData({'org.w3.clearkey': {clearkeys: plan.clearkeys}});
  made.attachSource(plan.url);
  await Promise.race([new Promise(done => made.on('canPlay', done)), wait(15000)]);
  return {
    async force(name) {
      made.updateSettings({streaming: {abr: {autoSwitchBitrate: {video: false}}}});
      const one = made.getRepresentationsByType('video').find(other => other.id === `video-${name}`);
      if (!one) throw new Error(`no level ${name}: ${made.getRepresentationsByType('video').map(other => other.id)}`);
      made.setRepresentationForTypeById('video', one.id, true);
      await wait(100);
      video.currentTime = 0;  // it had ended, and fetches nothing before a seek
    },
    async audio(track) {
      const one = made.getTracksFor('audio').find(other => other.labels.some(label => label.text === track.name));
      if (!one) throw new Error(`no audio ${track.name}`);
      made.setCurrentTrack(one);
    },
    async text(track) {
      const index = made.getTracksFor('text').findIndex(other => other.lang === track.language);
      if (index < 0) throw new Error(`no text ${track.name}`);
      made.setTextTrack(index);
    },
    async about() {
      const picture = await new Promise(done => made.provideThumbnail(3.5, done));
      return {
        levels: made.getRepresentationsByType('video').map(other => [other.width, other.height]),
        audio: made.getTracksFor('audio').map(track => [track.lang, track.roles.map(role => role.value), track.labels.map(label => label.text)]),
        text: made.getTracksFor('text').map(track => [track.lang, track.roles.map(role => role.value)]),
        chosen: made.getCurrentTrackFor('audio').lang,
        thumbnail: picture && [picture.x, picture.y, picture.width, picture.height, picture.url.split('/').pop()],
      };
    },
  };
}
