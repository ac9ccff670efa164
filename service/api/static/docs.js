// The documentation: openapi.json, made readable. Every request can be edited and sent from here.

import { element, pieces, prose, shown, words } from './docs-parts.js';
import { requestForm } from './docs-request.js';

const KEY = 'api-key'; // as the page at / keeps it

function rows(entries) {
  return element('dl', { class: 'rows' }, ...entries.map(([term, ...about]) => element('div', {}, element('dt', {}, element('code', {}, term)), element('dd', {}, ...about))));
}

/** What an answer has in it: its description, its schema, its headers and an example. */
function answer({ description, content = {}, headers = {} }, api) {
  const parts = pieces(description);
  for (const [type, { schema, examples = {} }] of Object.entries(content)) {
    parts.push(element('div', {}, element('code', {}, `${type}: ${words(schema ?? {}, api)}`)));
    for (const { summary, value } of Object.values(examples)) parts.push(element('pre', { tabindex: '0', 'aria-label': summary ?? 'Example' }, shown(value)));
  }
  if (Object.keys(headers).length) parts.push(element('div', {}, 'Headers: ', element('code', {}, Object.keys(headers).join(', '))));
  return parts;
}

function operation(method, path, shared, api) {
  const { operationId: id, summary, description, requestBody, responses, parameters: own = [], security = [] } = shared[method];
  const parameters = [...(shared.parameters ?? []), ...own];
  const section = element('details', { class: 'card operation', id });
  section.append(
    element('summary', {}, element('b', { class: method }, method.toUpperCase()), element('code', {}, path), element('span', {}, summary)),
    element('p', {}, element('a', { href: `#${id}` }, `Link to ${summary}`)),
  );
  if (description) section.append(prose(description));
  if (security.length) section.append(prose('Needs an API key: `Authorization: Bearer KEY` or `X-API-Key: KEY`.'));
  if (parameters.length) {
    section.append(element('h3', {}, 'Parameters'), rows(parameters.map(({ name, in: place, description: text, schema }) => [name, ...pieces(`${text ?? ''} (${place}, ${words(schema, api)})`.trim())])));
  }
  const kinds = Object.entries(requestBody?.content ?? {});
  if (kinds.length) section.append(element('h3', {}, 'Body'), rows(kinds.map(([type, { schema }]) => [type, words(schema, api)])));
  section.append(
    requestForm(method.toUpperCase(), path, parameters, requestBody),
    element('h3', {}, 'Answers'),
    rows(Object.entries(responses).map(([status, each]) => [status, ...answer(each, api)])),
  );
  return section;
}

/** Show only what has every word of the search in it. */
function search(place, text) {
  const wanted = text.toLowerCase().split(/\s+/);
  for (const section of place.querySelectorAll('.tag')) {
    let found = 0;
    for (const each of section.querySelectorAll('.operation')) {
      const about = each.textContent.toLowerCase();
      each.hidden = !wanted.every((word) => about.includes(word));
      found += each.hidden ? 0 : 1;
    }
    section.hidden = found === 0;
  }
}

/** Open the operation that the address names. */
function openNamed() {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!named?.matches('.operation')) return;
  named.open = true;
  named.scrollIntoView();
}

const place = document.getElementById('docs');
try {
  const api = await (await fetch('openapi.json')).json();
  const sections = api.tags.map(({ name, description }) => {
    const section = element('section', { class: 'tag' }, element('h2', {}, name[0].toUpperCase() + name.slice(1)), prose(description));
    for (const [path, shared] of Object.entries(api.paths)) {
      for (const method of ['get', 'post', 'put']) {
        if (shared[method]?.tags.includes(name)) section.append(operation(method, path, shared, api));
      }
    }
    return section;
  });
  place.replaceChildren(element('div', { class: 'intro' }, ...api.info.description.split('\n\n').map(prose)), ...sections);
  const key = document.getElementById('key');
  key.value = sessionStorage.getItem(KEY) ?? '';
  key.addEventListener('input', () => (key.value ? sessionStorage.setItem(KEY, key.value.trim()) : sessionStorage.removeItem(KEY)));
  document.getElementById('search').addEventListener('input', ({ target }) => search(place, target.value));
  document.getElementById('tools').hidden = false;
  place.querySelector('details').open = true;
  openNamed();
  addEventListener('hashchange', openNamed);
} catch (error) {
  place.replaceChildren(element('p', { class: 'status trouble', role: 'alert' }, `openapi.json can’t be read: ${error.message}`));
}
