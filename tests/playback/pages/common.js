// Runs the steps of a plan in a player, and reports what was seen. Each player's script defines ``player(video, plan, report)``: it begins
// to load, and returns force(rung), audio(track), text(track) and about().
'use strict';
const plan = JSON.parse(document.getElementById('plan').textContent);
const video = document.getElementById('video');
const errors = [], stalls = [], heights = [], switches = [], steps = [];
const wait = milliseconds => new Promise(done => setTimeout(done, milliseconds));
const post = (where, what) => fetch(`/${where}/${plan.number}`, {method: 'POST', body: JSON.stringify(what)});
const ranges = of => [...Array(of.length).keys()].map(at => [of.start(at), of.end(at)]);
let cues = () => [...video.textTracks].flatMap(track =>
  track.mode === 'disabled' ? [] : [...(track.cues || [])].map(cue => [track.label, cue.startTime, cue.endTime, cue.text]));
const near = (what, test, milliseconds = 15000) => new Promise((done, failed) => {
  const until = performance.now() + milliseconds;
  const look = () => test() ? done() : performance.now() > until ? failed(new Error(`waited in vain: ${what}`)) : setTimeout(look, 20);
  look();
});

// What is presented: the time of each frame, and the number that its barcode shows.
let shown = [];
const pixels = Object.assign(document.createElement('canvas'), {width: 16, height: 1}).getContext('2d', {willReadFrequently: true});
function onFrame(_, frame) {
  if (plan.eme) {
    shown.push([frame.mediaTime, null]);  // nobody may read what the browser has decrypted
  } else if (plan.barcodes) {
    const strip = Math.floor(video.videoHeight / 8 / 2) * 2;
    pixels.drawImage(video, 0, 0, video.videoWidth, strip, 0, 0, 16, 1);
    const data = pixels.getImageData(0, 0, 16, 1).data;
    shown.push([frame.mediaTime, [...Array(16).keys()].reduce((sum, bit) => sum + (data[4 * bit] > 127 ? 2 ** bit : 0), 0)]);
  }
  video.requestVideoFrameCallback(onFrame);
}
video.requestVideoFrameCallback(onFrame);

const stall = () => stalls.push([steps.length, video.currentTime]);
let playing = false, emptied = false;  // emptied: the counts of frames begin anew
video.addEventListener('emptied', () => { emptied = true; });
video.addEventListener('playing', () => { playing = true; video.playbackRate = rate; });
video.addEventListener('waiting', () => { if (playing && !video.seeking && !video.ended) stall(); });
video.addEventListener('resize', () => heights.push(video.videoHeight));
video.addEventListener('error', () => errors.push(`video: ${video.error.code} ${video.error.message}`));

let rate = plan.rate || 1;
const quality = () => video.getVideoPlaybackQuality();
const seen = () => ({time: video.currentTime, duration: video.duration, width: video.videoWidth, height: video.videoHeight,
  frames: quality().totalVideoFrames, dropped: quality().droppedVideoFrames, ended: video.ended, cues: cues(), keys: !!video.mediaKeys,
  heard: video.webkitAudioDecodedByteCount, buffered: ranges(video.buffered), played: ranges(video.played)});

// What plays quicker than it is fetched would stall: all of it has to be there, as far as a player fetches ahead.
const filled = () => near('', () => ranges(video.buffered).some(([from, to]) => from < 0.1 && to > plan.seconds - 0.3), 5000).catch(() => {});

const DO = {
  // From a place, or from where it stands, to the end, or for so many seconds.
  async play(player, {from, seconds}) {
    const before = steps.length ? seen() : {frames: 0, dropped: 0, heard: 0};  // some frames are decoded before anything plays
    shown = from === undefined ? shown : [];
    if (from !== undefined) await DO.seek(player, {to: from});
    const until = video.currentTime + (seconds || Infinity);
    await video.play();
    await near('the end', () => errors.length && !plan.tolerant || video.ended || video.currentTime >= until, 1000 * (plan.seconds * 2 + 30));
    if (video.ended) await wait(100); else video.pause();
    const after = seen();
    return {frames: after.frames - before.frames, dropped: after.dropped - before.dropped, heard: after.heard - before.heard, shown};
  },
  async seek(player, {to, go}) {
    shown = [];
    video.currentTime = to;
    await near(`a seek to ${to}`, () => !video.seeking && video.readyState >= 3);
    return go ? {wanted: to, ...await DO.play(player, {seconds: go})} : {wanted: to};
  },
  async rate(_, step) { rate = video.playbackRate = step.rate; },
  // From the beginning to the end at one level. What is buffered of another one is replaced before it plays.
  async level(player, {name, height}) {
    const before = seen();
    await DO.seek(player, {to: 0});
    emptied = false;
    await player.force(name);
    const there = () => video.videoHeight === height && video.readyState >= 3;
    for (let more = 5; !there() && more; more--) {  // a paused player may sleep until it is sought again
      await near('', there, 2500).catch(() => { video.currentTime = 0; });
    }
    await near(`level ${name}`, there, 2500);
    await filled();
    const came = await DO.play(player, {});
    return {...came, frames: seen().frames - (emptied ? 0 : before.frames)};
  },
  async audio(player, {track, seconds}) {
    await DO.seek(player, {to: 0});
    await player.audio(track);
    await filled();
    return DO.play(player, {seconds});
  },
  async show(player, {track}) { await player.text(track); },
  async text(player, {track}) {
    await DO.seek(player, {to: 0});
    await player.text(track);
    const came = await DO.play(player, {});
    await near('cues', () => cues().length >= plan.cues, 5000).catch(() => {});
    return came;
  },
  async about(player) { return {about: await player.about()}; },
};

(async () => {
  try {
    const made = await player(video, plan, {error: text => errors.push(text), stall, audio: name => switches.push(name)});
    if (made.cues) cues = made.cues;
    await near('metadata', () => errors.length && !plan.tolerant || video.readyState >= 1, 20000);
    for (const step of plan.steps) {
      if (errors.length && !plan.tolerant) break;
      await post('mark', step);
      const came = await DO[step.do](made, step);
      steps.push({...step, ...seen(), ...came});
    }
  } catch (e) {
    errors.push(`page: ${e.code || ''} ${e.stack || e}`);
  }
  await post('report', {...seen(), errors, stalls, heights, switches, steps});
})();
