// Text to take along.
import { say } from "./toast";

/** Copies, and says so. `otherwise`: what is left to do where the browser does not allow it. */
export async function copy(text: string, what: string, otherwise = ""): Promise<void> {
  const isCopied = await (navigator.clipboard ? written(text) : Promise.resolve(writtenByHand(text)));
  if (isCopied) say(`Copied as ${what}.`);
  else say(`The browser did not allow copying. ${otherwise}`.trim(), true);
}

function written(text: string): Promise<boolean> {
  return navigator.clipboard.writeText(text).then(
    () => true,
    () => false,
  );
}

/** Over plain HTTP beyond loopback a page has no clipboard but this. */
function writtenByHand(text: string): boolean {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "unseen";
  document.body.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  return isCopied;
}
