// Comma- and tab-separated values after RFC 4180: quoted fields may hold delimiters, line breaks and doubled quotes.
import type { SourceRecord } from "./SourceRecord.ts"

export interface CsvOptions {
  readonly delimiter: "," | "\t"
  /** The first record names the columns; without, they are column0, column1 … */
  readonly header: boolean
  /** "" reads quote marks as text. */
  readonly quote: '"' | ""
}

type Fields = { readonly line: number; readonly fields: readonly string[] } | { readonly line: number; readonly problem: string }

export function* readCsv(text: string, options: CsvOptions): Generator<SourceRecord> {
  let columns: readonly string[] | undefined
  for (const record of parse(text, options)) {
    const at = `line ${record.line}`
    if ("problem" in record) yield { at, problem: record.problem }
    else if (columns === undefined && options.header) {
      columns = record.fields
      const twice = columns.find((name, i) => columns?.indexOf(name) !== i)
      if (twice === undefined) continue
      // A row would keep the last of them only.
      yield { at, problem: `two columns are called ${JSON.stringify(twice)}` }
      return
    } else {
      columns ??= record.fields.map((_, i) => `column${i}`)
      const { fields } = record
      if (fields.length === columns.length) yield { at, value: Object.fromEntries(columns.map((name, i) => [name, fields[i]])) }
      else yield { at, problem: `expected ${columns.length} columns, found ${fields.length}` }
    }
  }
}

function* parse(text: string, { delimiter, quote }: CsvOptions): Generator<Fields> {
  const bare = delimiter === "," ? /[^,\n]*/y : /[^\t\n]*/y
  let at = 0
  let line = 1
  while (at < text.length) {
    const first = line
    const fields: string[] = []
    let problem: string | undefined
    for (let more = true; more;) {
      if (quote !== "" && text[at] === quote) {
        const field = quoted(text, at)
        if (field === undefined) {
          yield { line: first, problem: `the quote that opens on line ${line} never closes; quote: "" reads quote marks as text` }
          return
        }
        fields.push(field.value)
        line += field.value.split("\n").length - 1
        at = field.end
        bare.lastIndex = at
        const rest = (bare.exec(text)?.[0] ?? "").replace(/\r$/, "")
        if (rest !== "") problem = `text after a closing quote: ${rest.slice(0, 20)}`
        at = bare.lastIndex
      } else {
        bare.lastIndex = at
        const field = bare.exec(text)?.[0] ?? ""
        at = bare.lastIndex
        fields.push(text[at] === delimiter ? field : field.replace(/\r$/, ""))
      }
      more = text[at] === delimiter
      at++
    }
    line++
    if (problem !== undefined) yield { line: first, problem }
    else if (fields.length > 1 || fields[0] !== "") yield { line: first, fields }
  }
}

// The field that opens at `start`: its value and the position after its closing quote.
const quoted = (text: string, start: number): { readonly value: string; readonly end: number } | undefined => {
  for (let at = start + 1; ; at += 2) {
    at = text.indexOf('"', at)
    if (at === -1) return undefined
    if (text[at + 1] !== '"') return { value: text.slice(start + 1, at).replaceAll('""', '"'), end: at + 1 }
  }
}
