// Records of one source file, whatever its format.
import { DataError } from "#src/domain/Errors.ts"
import { readCsv } from "./csv.ts"
import { readJson, readJsonl } from "./json.ts"
import { readParquet } from "./parquet.ts"
import type { SourceRecords } from "./SourceRecord.ts"
import type { IngestConfig } from "./stage.ts"
import { readTxt } from "./txt.ts"
import { readUtf8, wholeText } from "./utf8.ts"

type Format = Exclude<IngestConfig["format"], "auto">

const endings: Readonly<Record<string, Format>> = {
  jsonl: "jsonl",
  ndjson: "jsonl",
  json: "json",
  csv: "csv",
  tsv: "tsv",
  parquet: "parquet",
  txt: "txt",
  md: "txt"
}

const formatOf = (name: string, format: IngestConfig["format"]): Format => {
  if (format !== "auto") return format
  const found = endings[name.slice(name.lastIndexOf(".") + 1).toLowerCase()]
  if (found !== undefined) return found
  throw new DataError({
    message: `the ending of ${name} does not tell its format`,
    where: name,
    hint: 'set format: "jsonl", "json", "csv", "tsv", "parquet" or "txt"'
  })
}

/** `name` is the file as the pipeline names it, `path` where it lies. */
export const readRecords = async (path: string, name: string, config: IngestConfig): Promise<SourceRecords> => {
  const format = formatOf(name, config.format)
  if (format === "parquet") return readParquet(path, name)
  const bytes = await readUtf8(path, name)
  switch (format) {
    case "jsonl":
      return readJsonl(bytes)
    case "json":
      return readJson(bytes, name)
    case "txt":
      return readTxt(bytes, name, config.textUnit)
    case "csv":
    case "tsv":
      return readCsv(wholeText(bytes, name), { delimiter: format === "csv" ? "," : "\t", header: config.header, quote: config.quote })
  }
}
