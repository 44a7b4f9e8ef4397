// What an application gives to connect by: values, or functions that give them; URLs. It connects nothing.
/** What was given, itself or by a function. */
export function given<V>(source: V | (() => V | Promise<V>)): V | Promise<V> {
  return typeof source === "function" ? (source as () => V | Promise<V>)() : source;
}

/** A complete URL; a relative one belongs to the page. */
export function absolute(url: string | URL): URL {
  return new URL(new Request(url).url);
}

/** The URL of a server as http or https. Throws a TypeError for one of another kind. */
export function targetOf(source: string | URL): string {
  const url = absolute(source);
  if (!/^(http|ws)s?:$/.test(url.protocol)) throw new TypeError("the URL has to be http or ws");
  // A WebSocket takes none.
  url.hash = "";
  return url.href.replace(/^ws/, "http");
}
