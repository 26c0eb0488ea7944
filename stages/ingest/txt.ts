// Plain text: a row per line, per paragraph (lines up to a blank one) or one row for the whole file.
import type { SourceRecord } from "./SourceRecord.ts"
import { lines, wholeText } from "./utf8.ts"

export function* readTxt(bytes: Buffer, name: string, unit: "line" | "paragraph" | "file"): Generator<SourceRecord> {
  if (unit === "file") {
    yield { at: "line 1", value: { text: wholeText(bytes, name).replaceAll("\r\n", "\n").trimEnd() } }
    return
  }
  let open: string[] = []
  let first = 1
  const close = () => ({ at: `line ${first}`, value: { text: open.join("\n") } })
  for (const { line, text } of lines(bytes)) {
    if (text.trim() === "" || unit === "line") {
      if (open.length > 0) yield close()
      open = []
    }
    if (text.trim() === "") continue
    if (open.length === 0) first = line
    open.push(text)
  }
  if (open.length > 0) yield close()
}
