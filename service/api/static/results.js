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

const bars = Array.from({ length: 10 }, (_, digit) => {
  const [label, track, share] = [element('b', digit), element('i'), element('span')];
  const row = element('li');
  row.append(label, track, share);
  id('bars').append(row);
  return { row, track, share };
});

const replicas = new Map();

/** Show a prediction, who made it and how long it took. */
export function showAnswer({ digit, confidence, probabilities, model, image }, replica, milliseconds) {
  id('digit').textContent = digit;
  id('digit').classList.remove('none');
  id('confidence').textContent = percent(confidence);
  bars.forEach(({ row, track, share }, i) => {
    row.classList.toggle('top', i === digit);
    track.style.setProperty('--share', probabilities[i]);
    share.textContent = percent(probabilities[i]);
  });
  showPreview(image);
  id('latency').textContent = `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
  id('model').textContent = `${model.name} ${model.version}`;
  id('replica').textContent = replica;
  remember(digit, replica);
}

/** Forget the last answer, but not who gave the ones before. */
export function showNothing() {
  id('digit').textContent = '–';
  id('digit').classList.add('none');
  id('confidence').textContent = '';
  for (const { row, track, share } of bars) {
    row.classList.remove('top');
    track.style.setProperty('--share', 0);
    share.textContent = '';
  }
  showPreview(null);
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

function showPreview(image) {
  const context = id('preview').getContext('2d');
  const pixels = context.createImageData(28, 28);
  for (let i = 0; i < 784; i++) pixels.data.set([255, 255, 255, image ? Math.round(255 * image[i]) : 0], 4 * i);
  context.putImageData(pixels, 0, 0);
}

function remember(digit, replica) {
  if (!replicas.has(replica)) {
    const [line, count] = [element('li'), element('span', '0')];
    line.append(element('i'), element('span', replica), count);
    line.className = `replica-${replicas.size % COLOURS}`;
    id('replicas').append(line);
    replicas.set(replica, { line, count, answers: 0 });
  }
  const known = replicas.get(replica);
  known.count.textContent = ++known.answers;
  const chip = element('li', digit, { title: replica, class: known.line.className });
  chip.append(element('span', ` by ${replica}`, { class: 'unseen' }));
  id('strip').append(chip);
  while (id('strip').children.length > RECENT) id('strip').firstElementChild.remove();
}
