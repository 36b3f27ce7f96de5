/** Text broken at blanks, so that it stands in a column of a terminal. */

/** @returns lines of at most `widthColumns` characters, except where one word is longer; at least one line */
export function wrap(text: string, widthColumns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > widthColumns) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
