// Surnames, dates and amounts, and how people write them. Each is handed out once: to one row of rows.jsonl, or to base.txt.
import { below, type Draw, drawFrom, pick, shuffled } from "./draw.ts"

export interface Day {
  readonly year: number
  readonly month: number
  readonly day: number
}
export interface Amount {
  readonly cents: number
  readonly currency: "EUR" | "USD" | "GBP"
}
export interface Entities {
  readonly name: string
  readonly date: Day
  readonly amount: Amount
}

// Surnames are put together as many real ones were: a place's first part and its last, or a stem and a family ending.
const families: readonly (readonly [string, string])[] = [
  [
    "Ash Bar Beck Black Brad Brock Burn Cald Carl Clay Crom Dal Den Dun East Elm Fair Fen Gar Glen Green Hal Ham Har Hart Hol Hub Ken Kil Kirk Lang Lock Long Lud Mar Mel Mil Nor Oak Or Pen Pres Rad Red Ros Row Rush Sel Shel Stan Stock Sut Thorn Til Wake Wal West Whit Wil Win Wyn",
    "bourne bridge brook bury by combe cott croft dale den field ford gate hurst land ley low man mere more ridge shaw stead stone ton ward well wick worth"
  ],
  ["Fuji Hashi Ishi Kawa Kita Matsu Mori Naka Nishi Oka Shima Sugi Taka Tani Ue Yama", "da gawa guchi hara mori moto mura naka no saki shima shita ta waki yama zaki"],
  ["Alm Berg Blom Dahl Ek Fors Hag Hall Holm Lind Lund Nord Sand Sjo Sund Wall", "berg blad dahl gren holm man mark qvist strand strom"],
  ["Eber Eich Gold Hof Kirsch Kron Lauter Linden Reich Rosen Roth Silber Stein Weiss Winter", "bach baum berg feld haus hof mann meyer stein thal"],
  ["Adam Borov Dobr Gor Ivan Jank Kowal Lev Milan Novak Petr Sokol Stan Vas Wisn Zel", "czyk enko escu ev ic in ov ovic owski ski"],
  ["Ade Baba Chi Eme Ife Iro Kele Nwa Obi Oke Olu Ono Uche Uzo", "bayo chukwu deji dozie fe kwe lade mele ndu nna wale"]
]
const days = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
export const years = { first: 2024, last: 2043 }

const allSurnames = (): readonly string[] =>
  families.flatMap(([stems, endings]) =>
    stems.split(" ").flatMap((stem) => endings.split(" ").filter((end) => !stem.toLowerCase().endsWith(end)).map((end) => stem + end))
  )

const allDays = (): readonly Day[] =>
  Array.from({ length: years.last - years.first + 1 }, (_, y) => years.first + y).flatMap((year) =>
    days.flatMap((length, m) => Array.from({ length }, (_, d) => ({ year, month: m + 1, day: d + 1 })))
  )

// No two amounts share their whole part; from 40 up, so that none is a day or a count; never a year; most are round, as prices are.
const allAmounts = (draw: Draw): readonly number[] => {
  const small = Array.from({ length: 1960 }, (_, i) => 40 + i)
  const large = Array.from({ length: 800 }, (_, i) => 2000 + 10 * i + (draw() < 0.3 ? below(draw, 10) : 0))
  return [...small, ...large]
    .filter((whole) => whole < years.first || whole > years.last)
    .map((whole) => whole * 100 + (draw() < 0.35 ? below(draw, 100) : 0))
}

/** All surnames, days and amounts in one seeded order; `take(n)` hands out the next n of each. */
export const supply = (seed: number) => {
  const draw = drawFrom(seed)
  const names = shuffled(draw, [...new Set(allSurnames())])
  const dates = shuffled(draw, allDays())
  const cents = shuffled(draw, allAmounts(draw))
  let next = 0
  return {
    size: Math.min(names.length, dates.length, cents.length),
    take: (n: number): readonly Entities[] => {
      const from = next
      next += n
      return Array.from({ length: n }, (_, i) => ({
        name: names[from + i] as string,
        date: dates[from + i] as Day,
        amount: { cents: cents[from + i] as number, currency: pick(draw, ["EUR", "USD", "GBP"] as const) }
      }))
    }
  }
}

export const months = "January February March April May June July August September October November December".split(" ")
const weekdays = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ")

const ordinal = (n: number): string => {
  const ending = n % 10 === 1 && n !== 11 ? "st" : n % 10 === 2 && n !== 12 ? "nd" : n % 10 === 3 && n !== 13 ? "rd" : "th"
  return `${n}${ending}`
}

/** A date as people write it. */
export const sayDate = (draw: Draw, date: Day): string => {
  const { year, day } = date
  const month = months[date.month - 1] as string
  const weekday = weekdays[new Date(Date.UTC(year, date.month - 1, day)).getUTCDay()] as string
  return pick(draw, [
    `${day} ${month} ${year}`,
    `${month} ${day}, ${year}`,
    `the ${ordinal(day)} of ${month} ${year}`,
    `${month} ${ordinal(day)}, ${year}`,
    `${weekday} ${day} ${month} ${year}`,
    `${weekday}, ${month} ${day}, ${year}`,
    `${day} ${month.slice(0, 3)} ${year}`
  ])
}

const words = { EUR: "euros", USD: "dollars", GBP: "pounds" }
const signs = { EUR: "€", USD: "$", GBP: "£" }

/** An amount as people write it: cents only where there are some. */
export const sayAmount = (draw: Draw, { cents, currency }: Amount): string => {
  const figure = Math.floor(cents / 100) + decimals(cents, cents % 100 !== 0)
  return pick(draw, [`${figure} ${words[currency]}`, `${figure} ${words[currency]}`, `${signs[currency]}${figure}`, `${currency} ${figure}`])
}

const decimals = (cents: number, shown: boolean): string => (shown ? `.${(cents % 100).toString().padStart(2, "0")}` : "")

/** ISO 8601, e.g. 2031-03-03. */
export const strictDate = ({ year, month, day }: Day): string =>
  `${year}-${month.toString().padStart(2, "0")}-${day.toString().padStart(2, "0")}`

/** E.g. 1420.50 EUR. */
export const strictAmount = ({ cents, currency }: Amount): string => `${Math.floor(cents / 100)}${decimals(cents, true)} ${currency}`

/** A person or household of that name, as a letter would put it. */
export const sayName = (draw: Draw, name: string): string =>
  pick(draw, [`Mr ${name}`, `Mrs ${name}`, `Ms ${name}`, `Dr ${name}`, `the ${name} family`, name, name])

const counts = "one two three four five six seven eight nine".split(" ")

/** A count with its noun, in digits or in words. */
export const sayCount = (draw: Draw, n: number, noun: string): string =>
  `${draw() < 0.5 && n < 10 ? (counts[n - 1] as string) : n} ${noun}${n === 1 ? "" : "s"}`
