// The state of the page as the part of its address behind the #, which no browser sends to a server.

const PACKED = "s";
const PLAIN = "p"; // where a browser cannot pack
export const LONGEST = 16_000; // characters; longer addresses break in mail and chat
const MOST_UNPACKED = 4_000_000; // bytes

/** An object as a fragment, without the #. */
export async function toFragment(state) {
  const bytes = new TextEncoder().encode(JSON.stringify(state));
  if (typeof CompressionStream === "undefined") return `${PLAIN}=${base64(bytes)}`;
  return `${PACKED}=${base64(await through(bytes, new CompressionStream("deflate-raw"), Infinity))}`;
}

/** The object that a fragment holds; null where it holds none. Throws where it is damaged or unpacks to too much. */
export async function fromFragment(fragment) {
  const [, kind, body] = /^#?([sp])=([\w-]+)$/.exec(fragment) ?? [];
  if (!kind) return null;
  const bytes = bytesOf(body);
  const plain = kind === PLAIN ? bytes : await through(bytes, new DecompressionStream("deflate-raw"), MOST_UNPACKED);
  return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(plain));
}

async function through(bytes, stream, most) {
  const parts = [];
  let size = 0;
  const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    size += piece.value.length;
    if (size > most) {
      await reader.cancel();
      throw new RangeError("the link holds too much");
    }
    parts.push(piece.value);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function bytesOf(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
}
