// Where output goes and how it looks: results on stdout, everything else on stderr; glyphs and colours from the environment.
import { makeTheme, type Theme } from "#src/report/Theme.ts"

export type Ui = "live" | "plain" | "json" | "quiet"
export const uiModes = ["auto", "live", "plain", "json", "quiet"] as const

interface Environment {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly isTTY: boolean
}

const isSet = (value: string | undefined): boolean => value !== undefined && value !== ""

/** NO_COLOR wins, then FORCE_COLOR, then whether the stream is a terminal that is not dumb. */
export const wantsColour = ({ env, isTTY }: Environment): boolean => {
  if (isSet(env["NO_COLOR"])) return false
  const forced = env["FORCE_COLOR"]
  if (isSet(forced)) return forced !== "0" && forced !== "false"
  return isTTY && env["TERM"] !== "dumb"
}

/** ASCII twins: on request, where the locale is not UTF-8, and where its ambiguous characters are two columns wide. */
export const wantsAscii = (flag: boolean, env: Environment["env"]): boolean => {
  const locale = env["LC_ALL"] || env["LC_CTYPE"] || env["LANG"] || "C.UTF-8"
  return flag || !/utf-?8/i.test(locale) || /^(ja|ko|zh)/.test(locale)
}

/**
 * The interface of a run. `chosen` is --ui or ANNEAL_UI; a choice that cannot work here falls back to plain and says so.
 * @param isTTY whether stderr, on which the live view is drawn, is a terminal
 */
export const chooseUi = (chosen: (typeof uiModes)[number], { env, isTTY }: Environment): { readonly ui: Ui; readonly warning?: string } => {
  const canDraw = isTTY && env["TERM"] !== "dumb" && env["INK_SCREEN_READER"] !== "true"
  if (chosen === "auto") return { ui: canDraw && !isSet(env["CI"]) ? "live" : "plain" }
  if (chosen === "live" && !canDraw) return { ui: "plain", warning: "--ui live needs a terminal on stderr: showing plain lines" }
  return { ui: chosen }
}

export const themeFor = (stream: NodeJS.WriteStream, ascii: boolean): Theme =>
  makeTheme({ ascii: wantsAscii(ascii, process.env), colour: wantsColour({ env: process.env, isTTY: stream.isTTY }) })

/** Columns that a line of text may take: a terminal's; what is read by a program is never cut. */
export const columnsOf = (stream: NodeJS.WriteStream): number => (stream.isTTY ? stream.columns : Infinity)

/** One line, or several, on stdout: a result. */
export const print = (text: string): void => void process.stdout.write(`${text}\n`)

/** One line on stderr: progress, warnings, what to type next. */
export const note = (text: string): void => void process.stderr.write(`${text}\n`)

/** One object on stdout; its first field is the version of its shape. */
export const printJson = (value: object): void => print(JSON.stringify({ version: 1, ...value }, null, 2))
