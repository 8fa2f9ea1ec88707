// Keeps a frame for each show that is not over.
'use strict';
const frames = {};
(async () => {
  for (;;) {
    const running = (await (await fetch('/shows')).json()).map(String);
    for (const number of Object.keys(frames)) if (!running.includes(number)) { frames[number].remove(); delete frames[number]; }
    for (const number of running) {
      if (frames[number]) continue;
      frames[number] = Object.assign(document.createElement('iframe'), {src: `/player/${number}`, allow: 'autoplay; encrypted-media'});
      document.body.append(frames[number]);
    }
    await new Promise(done => setTimeout(done, 100));
  }
})();
