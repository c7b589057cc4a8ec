// Where the service is: beside the page, also where a proxy has both under a path.
export const SERVICE = typeof document === "undefined" ? "" : serviceOf(document.baseURI);

/** The service's address without the slash at its end, of the address of its page. */
export function serviceOf(page: string): string {
  return new URL(".", page).href.replace(/\/$/, "");
}

/** The address of a path as the service tells it: from its own root on. */
export function addressOf(path: string): string {
  return SERVICE + path;
}
