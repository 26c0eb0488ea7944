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
    "Ald Apple Ash Bar Barn Beck Bent Birch Black Brad Bram Brock Broad Burn Cald Carl Chad Clay Cran Crom Dal Den Ding Dray Dun East Elder Elm Ever Fair Farn Fen Fern Gar Glen Grim Green Hal Ham Har Hart Haw Hazel Hol Hub Hunt Ing Ken Kil King Kirk Lang Lark Lin Lock Long Lud Mar Mel Mid Mil Moss New Nor Oak Or Oxen Park Pen Pres Quar Rad Ram Red Rock Ros Row Rush Sel Shel Sher Silver Stan Stave Stock Sut Swan Thorn Til Under Wake Wal War West Whit Wil Win Wood Wyn",
    "bourne bridge brook burn bury by combe cott croft dale den field ford gate ham hurst land ley low man mere mont more ridge shaw side stead stone ton ward well wick worth"
  ],
  [
    "Ao Fuji Haya Hashi Hira Ishi Iwa Kane Kawa Kita Kuro Matsu Minami Mori Naka Nishi Oka Saka Shima Sugi Taka Tani Toku Ue Yama Yoshi",
    "be da gawa guchi hara i kura mori moto mura naka no oka saki shima shita ta tani uchi waki yama zaki zawa"
  ],
  [
    "Alm Asp Berg Blom Bjork Dahl Ek Fors Frid Hag Hall Hed Holm Hult Lag Lind Lund Nord Ny Oster Ros Sand Sjo Sund Vester Wall",
    "berg blad dahl fors gren holm lund man mark qvist stedt strand strom vall"
  ],
  [
    "Acker Berken Bruck Eber Eich Eisen Frei Gold Hell Hof Kirsch Kron Lauter Lieben Linden Morgen Neu Reich Rosen Roth Schon Silber Stein Wald Weiss Winter",
    "bach bauer baum berg burger feld haus heim hof holz mann meyer muller stein thal wald"
  ],
  [
    "Adam Bartos Borov Dobr Dvor Fil Gor Ivan Jank Jur Kamin Kowal Lev Lis Markov Milan Novak Petr Pol Sokol Stan Tom Vas Vlad Wisn Zel",
    "a chuk czyk enko escu ev evic ic in ko ov ovic owski ski"
  ],
  [
    "Ade Ama Aza Baba Chi Chuku Dim Eke Eme Ene Ife Iro Kele Mba Nna Nwa Obi Oke Olu Ono Oro Osa Uba Uche Ume Uzo",
    "bayo chukwu dele deji dozie fe gbo ike jide kwe lade lumo mele ndu nna rike sola wale"
  ]
]
const days = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
export const years = { first: 2024, last: 2043 }

const combined = (stems: string, endings: string): readonly string[] =>
  stems.split(" ").flatMap((stem) => endings.split(" ").filter((end) => !stem.toLowerCase().endsWith(end)).map((end) => stem + end))

const allSurnames = (): readonly string[] => families.flatMap(([stems, endings]) => combined(stems, endings))

/** Every stem with every ending, whatever the family: so many that a model has to read a name, because it cannot know it. */
const mixedSurnames = (): readonly string[] => families.flatMap(([stems]) => families.flatMap(([, endings]) => combined(stems, endings)))

const allDays = (): readonly Day[] =>
  Array.from({ length: years.last - years.first + 1 }, (_, y) => years.first + y).flatMap((year) =>
    days.flatMap((length, m) => Array.from({ length }, (_, d) => ({ year, month: m + 1, day: d + 1 })))
  )

// No two amounts share their whole part; from 40 up, so that none is a day or a count; never a year; two in three are round.
const allAmounts = (draw: Draw): readonly number[] =>
  Array.from({ length: 5960 }, (_, i) => 40 + i)
    .filter((whole) => whole < years.first || whole > years.last)
    .map((whole) => whole * 100 + (draw() < 0.35 ? below(draw, 100) : 0))

/** Surnames, days and amounts in seeded order: `rows` of each for the rows, the others for the base's text, whose names are mixed. */
export const supply = (seed: number, rows: number) => {
  const draw = drawFrom(seed)
  const own = shuffled(draw, [...new Set(allSurnames())]).slice(0, rows)
  const names = [...own, ...shuffled(draw, [...new Set(mixedSurnames()).difference(new Set(own))])]
  const dates = shuffled(draw, allDays())
  const cents = shuffled(draw, allAmounts(draw))
  const entities = (i: number, from: number): Entities => ({
    name: around(names, i, from),
    date: around(dates, i, from),
    amount: { cents: around(cents, i, from), currency: pick(draw, ["EUR", "USD", "GBP"] as const) }
  })
  return {
    /** The entities of each row: every one in this row alone. The inn's own book is kept in euros. */
    rows: Array.from({ length: rows }, (_, i) => inEuros(entities(i, 0))),
    /** The i-th entities of the base's text: the lists are of different lengths, so that their items meet in ever new company. */
    text: (i: number) => entities(i, rows)
  }
}

const inEuros = (entities: Entities): Entities => ({ ...entities, amount: { ...entities.amount, currency: "EUR" } })

/** Item i of a list that begins at `from` and, at its end, begins there again. */
const around = <A>(list: readonly A[], i: number, from: number): A => list[from + (i % (list.length - from))] as A

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
