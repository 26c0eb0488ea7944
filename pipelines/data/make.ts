// Writes what is committed here: rows.jsonl, base.txt and the tokenizer.json of the untrained base model. Run: node pipelines/data/make.ts
import { writeFileSync } from "node:fs"
import { resolve } from "node:path"
import { supply } from "./entities.ts"
import { notes } from "./notes.ts"
import { requests } from "./rows.ts"
import { makeTokenizer } from "./tokenizer.ts"

/** Every file's text by its path from this folder. No name, date or amount is in two rows, or in a row and in the base's text. */
export const files = (): Readonly<Record<string, string>> => {
  const entities = supply(1, 2400)
  const rows = requests(entities.rows)
  const text = notes(6000, entities.text)
  return {
    "rows.jsonl": rows.map((row) => `${JSON.stringify(row)}\n`).join(""),
    "base.txt": text,
    "../models/untrained/tokenizer.json": `${JSON.stringify(makeTokenizer(text, 1024), null, 1)}\n`
  }
}

if (import.meta.main) {
  for (const [path, text] of Object.entries(files())) writeFileSync(resolve(import.meta.dirname, path), text)
}
