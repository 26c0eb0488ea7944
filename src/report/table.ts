// One table, three forms: aligned text, Markdown, CSV.
import { stripVTControlCharacters } from "node:util"

export interface Table {
  readonly header: readonly string[]
  readonly rows: readonly (readonly string[])[]
  /** Columns (by position) whose cells are numbers: right-aligned. */
  readonly numeric?: readonly number[]
  /** Columns whose header is somebody's own name (a run, a figure): never put in capitals. */
  readonly named?: readonly number[]
}

const width = (text: string): number => stripVTControlCharacters(text).length

export const textTable = ({ header, rows, numeric = [], named = [] }: Table): string => {
  const widths = header.map((name, column) => Math.max(width(name), ...rows.map((row) => width(row[column] ?? ""))))
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => {
        const space = " ".repeat(Math.max(0, (widths[column] ?? 0) - width(cell)))
        return numeric.includes(column) ? space + cell : cell + space
      })
      .join("  ")
      .trimEnd()
  return [line(header.map((name, column) => (named.includes(column) ? name : name.toUpperCase()))), ...rows.map(line)].join("\n")
}

export const markdownTable = ({ header, rows, numeric = [] }: Table): string => {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`
  return [line(header), line(header.map((_, column) => (numeric.includes(column) ? "---:" : "---"))), ...rows.map(line)].join("\n")
}

/** RFC 4180: a cell with a comma, a quote or a line break is quoted. */
export const csvTable = ({ header, rows }: Table): string => {
  const cell = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
  return [header, ...rows].map((cells) => cells.map(cell).join(",")).join("\r\n")
}
