// Shaka Player. In HLS it has the keys from where the playlist says, in DASH from the page.
'use strict';
async function player(video, plan, report) {
  shaka.polyfill.installAll();
  const made = new shaka.Player();
  await made.attach(video);
  made.addEventListener('error', e => report.error(`${e.detail.code} ${JSON.stringify(e.detail.data)}`));
  if (plan.lowest) made.configure({abr: {defaultBandwidthEstimate: 50000, useNetworkInformation: false}});
  if (plan.manifest === 'dash' && plan.eme) made.configure({drm: {clearKeys: plan.keys}});
  if (plan.settings) made.configure(plan.settings);
  await made.load(plan.url);
  const named = (track, name) => (track.originalVideoId || '').split('/').pop().replace('.m3u8', '') === `video-${name}`;
  return {
    async force(name) {
      made.configure({abr: {enabled: false}});
      const now = made.getVariantTracks().find(track => track.active);
      const those = made.getVariantTracks().filter(track => named(track, name));
      const one = those.find(track => track.language === now.language && track.channelsCount === now.channelsCount) || those[0];
      if (!one) throw new Error(`no level ${name}: ${JSON.stringify(made.getVariantTracks().map(track => track.originalVideoId))}`);
      made.selectVariantTrack(one, true);
    },
    async audio(track) {
      const one = made.getAudioTracks().find(other => other.language === track.language && other.channelsCount === track.channels);
      if (!one) throw new Error(`no audio ${track.name}: ${JSON.stringify(made.getAudioTracks())}`);
      made.selectAudioTrack(one);
    },
    async text(track) {
      const one = made.getTextTracks().find(other => other.language === track.language);
      if (!one) throw new Error(`no text ${track.name}`);
      made.selectTextTrack(one);
      if (plan.manifest === 'hls') {  // there it shows text only behind the next video that it appends, and all may be buffered
        const now = made.getVariantTracks().find(other => other.active);
        made.selectVariantTrack(made.getVariantTracks().find(other => other.videoId !== now.videoId) || now, true);
      }
    },
    async about() {
      const [images] = made.getImageTracks();
      const picture = images && await made.getThumbnails(images.id, 3.5);
      return {
        levels: made.getVideoTracks().map(track => [track.width, track.height]),
        audio: made.getAudioTracks().map(track => [track.language, track.roles, [track.label]]),
        text: made.getTextTracks().map(track => [track.language, track.roles]),
        chosen: made.getVariantTracks().find(track => track.active).language,
        thumbnail: picture && [picture.positionX, picture.positionY, picture.width, picture.height, picture.uris[0].split('/').pop()],
      };
    },
  };
}
