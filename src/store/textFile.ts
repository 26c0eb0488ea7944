// Text files that stages read from their inputs and write into their outputs.
import { readFile, writeFile } from "node:fs/promises"

export const readText = (path: string): Promise<string> => readFile(path, "utf8")

export const writeText = (path: string, text: string): Promise<void> => writeFile(path, text)

/** Writes a value as indented JSON with a last line break; the same value always gives the same bytes. */
export const writeJson = (path: string, value: unknown): Promise<void> => writeText(path, `${JSON.stringify(value, null, 2)}\n`)
