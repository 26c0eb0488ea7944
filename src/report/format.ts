// Numbers, times, sizes and digests as people read them. JSON output never goes through here.

/** At most four significant digits; very small and very large ones in scientific form: 1.092, 12.4, 2e-5. */
export const number = (value: number | null | undefined): string => {
  if (value === undefined) return "-"
  if (value === null || !Number.isFinite(value)) return "NaN"
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value)
  const size = Math.abs(value)
  if (size < 1e-3 || size >= 1e6) {
    const [mantissa, exponent] = value.toExponential(2).split("e") as [string, string]
    return `${Number(mantissa)}e${Number(exponent)}`
  }
  return size >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)))
}

/** The same with a + where it is above 0: a change. */
export const signed = (value: number): string => `${value > 0 ? "+" : ""}${number(value)}`

/** Fixed width for columns that change under the eye: 3 digits after the point, scientific below 0.001. */
export const fixed = (value: number | null | undefined): string =>
  value === null || value === undefined || (value !== 0 && Math.abs(value) < 1e-3) ? number(value) : value.toFixed(3)

/** 950 -> "950", 11900 -> "11.9k", 3100000 -> "3.1M". */
export const compact = (value: number): string => {
  if (value < 1000) return value.toFixed(0)
  if (value < 1e6) return `${(value / 1e3).toFixed(1)}k`
  return `${(value / 1e6).toFixed(1)}M`
}

export { bytes } from "#src/domain/bytes.ts"
export { duration } from "#src/domain/duration.ts"

/** "sha256:51fa…" -> its first `length` hex digits. */
export const short = (digest: string | null, length = 4): string =>
  digest === null ? "-" : digest.replace(/^sha256:/, "").slice(0, length)

/** A JSON value on one line: strings bare, everything else as JSON. */
export const inline = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value ?? null))

/** Text of unknown origin without the characters that could steer a terminal; line breaks and tabs stay. */
export const harmless = (text: string): string => text.replaceAll(/(?![\n\t])\p{Cc}/gu, "\uFFFD")

/** Cuts to `width` characters, the last of them an ellipsis. */
export const cut = (text: string, width: number): string => {
  const line = text.replaceAll(/\s+/g, " ").trim()
  return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 3))}...`
}

/** "1 stage", "3 stages". */
export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`
