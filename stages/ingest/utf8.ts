// Bytes of a source file as UTF-8 text; anything else is named by line and byte offset.
import { constants, isUtf8 } from "node:buffer"
import { readFile } from "node:fs/promises"
import { DataError } from "#src/domain/Errors.ts"

const bom = Buffer.from([0xef, 0xbb, 0xbf])

/**
 * Reads a file, without its byte order mark. `name` is the file as the pipeline names it.
 * @throws DataError where it is missing, a folder, empty or not UTF-8
 */
export const readUtf8 = async (path: string, name: string): Promise<Buffer> => {
  const whole = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") throw new DataError({ message: `no such file: ${name}`, where: path, hint: "check ingest's from" })
    if (cause.code === "EISDIR") throw new DataError({ message: `${name} is a folder`, where: path, hint: "name the files in it" })
    if (cause.code === "ERR_FS_FILE_TOO_LARGE") throw tooLarge(name, "2 GiB")
    throw cause
  })
  const bytes = whole.subarray(0, 3).equals(bom) ? whole.subarray(3) : whole
  if (bytes.length === 0) throw new DataError({ message: "the file is empty", where: name })
  if (!isUtf8(bytes)) throw notUtf8(whole, name)
  return bytes
}

const notUtf8 = (bytes: Buffer, name: string): DataError => {
  // Decoding replaces what is invalid, so the first byte that does not survive a round trip is the one.
  let line = 1
  let start = 0
  let end = bytes.indexOf(10)
  while (end !== -1 && isUtf8(bytes.subarray(start, end))) {
    line++
    start = end + 1
    end = bytes.indexOf(10, start)
  }
  const text = bytes.subarray(start, end === -1 ? bytes.length : end)
  const again = Buffer.from(text.toString("utf8"))
  const offset = start + text.findIndex((byte, i) => byte !== again[i])
  const utf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)
  return new DataError({
    message: "the file is not UTF-8 text",
    where: `${name} line ${line}, byte offset ${offset}`,
    why: `byte 0x${(bytes[offset] as number).toString(16)} is not valid there`,
    hint: `convert it: iconv -f ${utf16 ? "utf-16" : "latin1"} -t utf-8 ${name} > ${name}.utf8`
  })
}

const tooLarge = (name: string, limit: string): DataError =>
  new DataError({ message: `${name} is larger than ${limit}`, hint: "split it into several files (from takes a list), or use Parquet" })

/**
 * The whole file as one text.
 * @throws DataError where it is longer than a JavaScript string can be
 */
export const wholeText = (bytes: Buffer, name: string): string => {
  if (bytes.length > constants.MAX_STRING_LENGTH) throw tooLarge(name, "512 MiB")
  return bytes.toString("utf8")
}

/** Lines with their numbers; a line's end may be LF or CRLF. Decoded one by one: a file may be larger than the longest string. */
export function* lines(bytes: Buffer): Generator<{ readonly line: number; readonly text: string }> {
  let line = 1
  for (let start = 0; start < bytes.length; line++) {
    const newline = bytes.indexOf(10, start)
    const end = newline === -1 ? bytes.length : newline
    const text = bytes.toString("utf8", start, bytes[end - 1] === 13 && end > start ? end - 1 : end)
    yield { line, text }
    start = end + 1
  }
}
