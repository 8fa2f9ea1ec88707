// The browser's own HLS. A page cannot choose levels or tracks there: the server leaves the others out of the master playlist.
'use strict';
async function player(video, plan) {
  let chosen = {};
  const load = async more => {
    chosen = {...chosen, ...more};
    const asked = new URLSearchParams(chosen).toString();
    video.src = asked ? `${plan.url}?${asked}` : plan.url;
    await near('metadata', () => video.readyState >= 3 || video.error);
  };
  await load({});
  return {
    force: name => load({video: name}),
    audio: track => load({audio: track.uri.split('/').pop()}),
    async text(track) { for (const other of video.textTracks) other.mode = other.language === track.language ? 'showing' : 'disabled'; },
    async about() { return {}; },
  };
}
