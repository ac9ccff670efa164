// The API key: asked for when the service wants one, and kept for as long as the tab is open.

import { say } from './results.js';

const NAME = 'api-key';

const id = (name) => document.getElementById(name);

/** Return the key that was given, if one was. */
export function apiKey() {
  return sessionStorage.getItem(NAME);
}

/** Call `use` whenever a key is given. */
export function onKey(use) {
  id('key').addEventListener('submit', (event) => {
    event.preventDefault();
    sessionStorage.setItem(NAME, id('key-value').value.trim());
    use();
  });
}

/** Ask for a key, or for another one; the form takes the focus unless somebody is drawing. */
export function askForKey(drawing) {
  const known = apiKey();
  id('key').hidden = false;
  if (!drawing) focusKey();
  if (known) say('This key is not one that the service knows.', true);
  else say('Enter a key to get answers.');
}

/** Let what is typed next be the key. */
export function focusKey() {
  id('key-value').focus();
}

/** Return whether a key was asked for and none has been accepted since. */
export function keyWanted() {
  return !id('key').hidden;
}

/** The key fits. */
export function keyAccepted() {
  id('key').hidden = true;
}
