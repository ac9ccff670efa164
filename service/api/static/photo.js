// Pictures on the paper: where they lie, and which colours suit them.

const LARGEST = 2000; // pixels of a side: what a photo of a phone is shrunk to, so that it can still be cropped
const SAMPLE = 32;

/** Read a picture file. */
export async function readPhoto(file) {
  const picture = await createImageBitmap(file);
  const scale = LARGEST / Math.max(picture.width, picture.height);
  if (scale >= 1) return photo(picture);
  const [resizeWidth, resizeHeight] = [picture.width, picture.height].map((side) => Math.max(1, Math.round(side * scale)));
  return photo(await createImageBitmap(picture, { resizeWidth, resizeHeight, resizeQuality: 'high' }));
}

/** Return a picture as a part of the drawing: as large as it fits on the paper, in its middle. */
export function photo(picture) {
  const scale = 1 / Math.max(picture.width, picture.height);
  const [width, height] = [picture.width * scale, picture.height * scale];
  return { picture, x: (1 - width) / 2, y: (1 - height) / 2, width, height, ...tones(picture) };
}

/** Draw a picture on a canvas with a side of so many pixels. */
export function drawPhoto(context, { picture, x, y, width, height, ground, pixels }, side) {
  const place = [x * side, y * side, width * side, height * side];
  if (ground) {
    context.fillStyle = ground;
    context.fillRect(...place);
  }
  context.imageSmoothingEnabled = !pixels; // pixels are shown as such
  context.drawImage(picture, ...place);
}

/** Return the paper that is under what is transparent, and an ink that shows on the picture.
 *
 * Dark ink on nothing is meant for white paper, whichever colours the page has.
 */
function tones(picture) {
  const canvas = Object.assign(document.createElement('canvas'), { width: SAMPLE, height: SAMPLE });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(picture, 0, 0, SAMPLE, SAMPLE);
  const { data } = context.getImageData(0, 0, SAMPLE, SAMPLE);
  let [light, opaque] = [0, 0];
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3] / 255;
    light += (alpha * (data[i] + data[i + 1] + data[i + 2])) / 765;
    opaque += alpha;
  }
  const isLight = light > opaque / 2;
  const isTransparent = opaque < 0.99 * SAMPLE * SAMPLE;
  if (!isTransparent) return { ground: null, ink: isLight ? '#000' : '#fff' };
  return isLight ? { ground: '#000', ink: '#fff' } : { ground: '#fff', ink: '#000' };
}
