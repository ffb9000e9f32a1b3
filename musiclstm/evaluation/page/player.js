"use strict";
// Plays the notes of a .player in the browser's own synthesizer: a plucked tone for pitches, noise for drums.
(() => {
  let context = null, playing = null;

  function tone(at, length, pitch, loud) {
    const gain = context.createGain(), oscillator = context.createOscillator();
    oscillator.type = "triangle";
    oscillator.frequency.value = 440 * 2 ** ((pitch - 69) / 12);
    const end = at + Math.max(length, 0.08);
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(loud, at + 0.01);
    gain.gain.exponentialRampToValueAtTime(loud * 0.5, end);
    gain.gain.linearRampToValueAtTime(0, end + 0.06);
    oscillator.connect(gain).connect(context.destination);
    oscillator.start(at);
    oscillator.stop(end + 0.08);
    return oscillator;
  }

  function drum(at, pitch, loud) {
    const length = pitch < 42 ? 0.18 : 0.06, size = Math.ceil(length * context.sampleRate);
    const buffer = context.createBuffer(1, size, context.sampleRate), samples = buffer.getChannelData(0);
    for (let i = 0; i < size; i++) samples[i] = (Math.random() * 2 - 1) * (1 - i / size) ** 3;
    const source = context.createBufferSource(), filter = context.createBiquadFilter(), gain = context.createGain();
    source.buffer = buffer;
    filter.type = pitch < 42 ? "lowpass" : "highpass";
    filter.frequency.value = pitch < 37 ? 160 : pitch < 42 ? 1500 : 6000;
    gain.gain.value = loud * 2;
    source.connect(filter).connect(gain).connect(context.destination);
    source.start(at);
    return source;
  }

  function stop() {
    if (!playing) return;
    clearInterval(playing.timer);
    for (const sound of playing.sounds) try { sound.stop(); } catch (e) { /* it is over */ }
    playing.box.querySelector("button").textContent = "Play";
    playing.box.querySelector(".playhead").style.transform = "";
    playing = null;
  }

  function play(box) {
    context = context || new AudioContext();
    context.resume();
    const notes = JSON.parse(box.dataset.notes), length = Number(box.dataset.length), began = context.currentTime + 0.1;
    const head = box.querySelector(".playhead"), width = box.querySelector("svg").viewBox.baseVal.width;
    let next = 0;
    const mine = { box, sounds: new Set() };
    mine.timer = setInterval(() => {
      const now = context.currentTime - began;
      for (; next < notes.length && notes[next][0] < now + 0.5; next++) { // half a second ahead
        const [start, end, pitch, velocity, isDrum] = notes[next], loud = 0.12 * (velocity / 127) ** 1.5 + 0.02;
        const sound = isDrum ? drum(began + start, pitch, loud) : tone(began + start, end - start, pitch, loud);
        mine.sounds.add(sound);
        sound.onended = () => mine.sounds.delete(sound);
      }
      head.style.transform = `translateX(${Math.max(0, Math.min(1, now / length)) * width}px)`;
      if (now > length + 0.3) stop();
    }, 30);
    playing = mine;
    box.querySelector("button").textContent = "Stop";
  }

  for (const box of document.querySelectorAll(".player")) {
    box.querySelector("button").addEventListener("click", () => {
      const again = playing && playing.box === box;
      stop();
      if (!again) play(box);
    });
  }
})();
