/** HTML put together from parts: what is no HTML yet is escaped. */

/** A text that is HTML already. */
export class Html {
  constructor(private readonly text: string) {}

  toString(): string {
    return this.text;
  }
}

type Part = string | number | Html | readonly Html[];

/** A template whose values are escaped, unless they are HTML: fit for text and for attributes in double quotes. */
export function html(texts: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(texts.map((text, i) => (i === 0 ? text : `${toText(parts[i - 1] as Part)}${text}`)).join(''));
}

function toText(part: Part): string {
  if (part instanceof Html) return part.toString();
  if (typeof part === 'object') return part.join('');
  return escapeHtml(String(part));
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
