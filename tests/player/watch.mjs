// Watches a clip in a page as its decoder shows it: how long it is, and how far its picture is apart at three moments.
export const watched = (frame, selector) => frame.evaluate(async selector => {
  const video = document.querySelector(selector), moments = [0.1, 0.5, 0.9], seen = [];
  const pen = Object.assign(document.createElement("canvas"), { width: 64, height: 36 }).getContext("2d", { willReadFrequently: true });
  if (video.readyState < 1) await new Promise((done, no) => { video.onloadedmetadata = done; video.onerror = () => no(video.error) });
  video.pause();
  for (const moment of moments) {
    const there = new Promise(done => video.addEventListener("seeked", done, { once: true }));
    video.currentTime = moment * video.duration;
    await there;
    pen.drawImage(video, 0, 0, 64, 36);
    seen.push([...pen.getImageData(0, 0, 64, 36).data]);
  }
  const apart = (one, other) => one.reduce((sum, value, at) => sum + Math.abs(value - other[at]), 0) / one.length;
  return { duration: video.duration, width: video.videoWidth, error: video.error, apart: [apart(seen[0], seen[1]), apart(seen[1], seen[2]), apart(seen[0], seen[2])] };
}, selector);
