// Files that are chosen, pasted or dropped.

/** Call `open` with each of them; `place` shows that one would be taken. */
export function takeFiles(open, place) {
  for (const input of document.querySelectorAll('input[type=file]')) {
    input.addEventListener('change', () => {
      if (input.files[0]) open(input.files[0]);
      input.value = ''; // the same file may be opened again
    });
  }
  document.addEventListener('paste', ({ clipboardData }) => {
    if (clipboardData.files[0]) open(clipboardData.files[0]);
  });
  for (const name of ['dragover', 'dragleave', 'drop']) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      place.classList.toggle('over', name === 'dragover');
      if (name === 'drop' && event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
    });
  }
}
