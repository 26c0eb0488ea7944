// Text files that stages write into their outputs.
import { writeFile } from "node:fs/promises"

/** Writes a value as indented JSON with a last line break; the same value always gives the same bytes. */
export const writeJson = (path: string, value: unknown): Promise<void> => writeFile(path, `${JSON.stringify(value, null, 2)}\n`)
