// Everything that an answer changes on the page.

const RECENT = 48;
const COLOURS = 8; // --replica-0 and so on, in style.css

const id = (name) => document.getElementById(name);

function element(name, text = '', attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const replicas = new Map();

/** Show a prediction, who made it and how long it took: a label, a bar for each class, and what the model saw. */
export function showAnswer({ label, confidence, bars, model, image, shape }, replica, milliseconds) {
  id('label').textContent = label;
  id('label').classList.remove('none');
  id('confidence').textContent = percent(confidence);
  showBars(bars);
  showPreview(image, shape);
  id('latency').textContent = `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
  id('model').textContent = `${model.name} ${model.version}`;
  id('replica').textContent = replica;
  remember(label, replica);
}

/** Forget the last answer, but not who gave the ones before. */
export function showNothing() {
  id('label').textContent = '–';
  id('label').classList.add('none');
  id('confidence').textContent = '';
  for (const row of id('bars').children) {
    const [, track, share] = row.children;
    row.classList.remove('top');
    track.style.setProperty('--share', 0);
    share.textContent = '';
  }
  const { width, height } = id('preview');
  id('preview').getContext('2d').clearRect(0, 0, width, height);
}

/** Say something in words; `trouble` colours it. */
export function say(text, trouble = false) {
  // A screen reader is told only what is new.
  if (id('status').textContent !== text) id('status').textContent = text;
  id('status').classList.toggle('trouble', trouble);
}

function percent(share) {
  if (share > 0.9995 && share < 1) return '> 99.9 %';
  return `${(share * 100).toFixed(1)} %`;
}

function showBars(bars) {
  while (id('bars').children.length < bars.length) {
    const row = element('li');
    row.append(element('b'), element('i'), element('span'));
    id('bars').append(row);
  }
  bars.forEach(({ label, probability, top }, i) => {
    const row = id('bars').children[i];
    const [name, track, share] = row.children;
    row.classList.toggle('top', top);
    name.textContent = label;
    track.style.setProperty('--share', probability);
    share.textContent = percent(probability);
  });
}

function showPreview(image, [height, width, channels]) {
  const context = id('preview').getContext('2d');
  const pixels = context.createImageData(width, height);
  const level = (i) => Math.round(255 * image[i]);
  for (let i = 0; i < height * width; i++) {
    const [red, green, blue] = [0, 1, 2].map((channel) => level(channels * i + channel));
    // Grey is light on the dark of the screen.
    pixels.data.set(channels === 1 ? [255, 255, 255, level(i)] : [red, green, blue, 255], 4 * i);
  }
  context.putImageData(pixels, 0, 0);
}

function remember(label, replica) {
  if (!replicas.has(replica)) {
    const [line, count] = [element('li'), element('span', '0')];
    line.append(element('i'), element('span', replica), count);
    line.className = `replica-${replicas.size % COLOURS}`;
    id('replicas').append(line);
    replicas.set(replica, { line, count, answers: 0 });
  }
  const known = replicas.get(replica);
  known.count.textContent = ++known.answers;
  const chip = element('li', label, { title: replica, class: known.line.className });
  chip.append(element('span', ` by ${replica}`, { class: 'unseen' }));
  id('strip').append(chip);
  while (id('strip').children.length > RECENT) id('strip').firstElementChild.remove();
}
