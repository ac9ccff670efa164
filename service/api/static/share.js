// What a visitor takes along: a command that asks the same from a terminal, and a link to the drawing.

import { apiKey } from './key.js';
import { toFragment } from './link.js';
import { onAnswer, say } from './results.js';

const id = (name) => document.getElementById(name);

/** Keep the command and the link those of what is on the paper. */
export function share(paper) {
  let newest = null;
  onAnswer(async (answer) => {
    newest = answer;
    const fragment = answer && !paper.picture ? toFragment(paper.strokes) : null;
    id('link-line').hidden = fragment === null;
    if (fragment) id('link').href = fragment;
    id('copy').disabled = !answer;
    const text = answer ? await command(answer.image) : 'Draw a digit, and here is the command.';
    if (newest === answer) id('command').textContent = text;
  });
  id('copy').addEventListener('click', () => copy(id('command').textContent, 'The command'));
  id('copy-link').addEventListener('click', () => copy(id('link').href, 'The link'));
}

/** Put a text into the clipboard, where pages may: those that came by HTTPS, or from this machine. */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} is copied.`);
  } catch {
    say('This browser lets no page without HTTPS copy; select the text instead.', true);
  }
}

/** Return what asks the same from a terminal: the pixels that the model saw, as bytes, packed and in text. */
async function command(image) {
  const bytes = Uint8Array.from(image, (level) => Math.round(255 * level));
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream('gzip'));
  const text = btoa(String.fromCharCode(...new Uint8Array(await new Response(packed).arrayBuffer())));
  const key = apiKey() ? ' -H "X-API-Key: $KEY"' : '';
  const address = new URL('predict', location).href;
  const headers = ['Content-Type: application/octet-stream', 'Content-Encoding: gzip'].map((header) => ` -H '${header}'`);
  return `echo ${text} | base64 --decode | curl '${address}'${key}${headers.join('')} --data-binary @-`;
}
