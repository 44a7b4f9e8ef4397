// Text of an event stream to its events, as the HTML standard has it. It reads no stream.

/** Gives a function that takes the text of a stream, cut anywhere, and tells each event with its name and its data. */
export function eventParser(tell: (name: string, data: string) => void): (text: string) => void {
  let rest = "";
  let name = "";
  let data: string[] = [];
  const take = (line: string) => {
    if (!line) {
      if (data.length) tell(name, data.join("\n"));
      name = "";
      data = [];
      return;
    }
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line)!;
    if (field === "data") data.push(value!);
    else if (field === "event") name = value!;
  };
  return (text) => {
    rest += text;
    // Most parts of a long line have no end of a line, and the whole need not be searched for each of them.
    if (!/[\r\n]/.test(text)) return;
    // A CR at the end may be the first half of a CRLF.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop()!;
    lines.forEach(take);
  };
}
