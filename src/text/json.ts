// Reading a JSON object from a file's text, with the file named where it is damaged.
import { DataError } from "#src/domain/Errors.ts"

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** @throws DataError naming `path` where the text is no JSON object */
export const parseJson = (text: string, path: string): Record<string, unknown> => {
  const damaged = (why: string) =>
    new DataError({ message: "the file is no JSON object", where: path, why, hint: "copy the file again from where the model came from" })
  try {
    const value: unknown = JSON.parse(text)
    if (isRecord(value)) return value
  } catch (cause) {
    throw damaged(cause instanceof Error ? cause.message : String(cause))
  }
  throw damaged(`it holds ${text.slice(0, 20)} …`)
}
