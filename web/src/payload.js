// Read what the page carries: a JSON description, and blocks of base64 in elements of their own.

/** Return the description that Python wrote. */
export function readDescription() {
  return JSON.parse(document.getElementById("description").textContent);
}

/** Return the bytes of a block and drop its text, which is a third larger than the bytes. */
export async function takeBytes(id) {
  const element = document.getElementById(id);
  const response = await fetch(`data:application/octet-stream;base64,${element.textContent.trim()}`);
  element.remove();
  return new Uint8Array(await response.arrayBuffer());
}

/** Return the contents of gzip bytes. */
export async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
