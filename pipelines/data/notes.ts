// The base model's text: the diary of the same inn in plain English. Each note says who, when, how much and how many, and says it
// again, in other words or the same, so that a model of it learns to carry names, dates and amounts along. The rows' strict form is
// not in it.
import { below, capitalized, type Draw, drawFrom, fill, pick, shuffled } from "./draw.ts"
import { type Entities, sayAmount, sayCount, sayDate, sayName } from "./entities.ts"

const reports = [
  "Today {name} wrote to us about {date}, for {count}, at a price of {amount}.",
  "A letter came from {name}. It asks for {count} on {date} and offers {amount}.",
  "This morning {name} rang. We spoke of {date}, of {count}, and of {amount}.",
  "There is news from {name}: the visit on {date} will be for {count}, and {amount} is agreed.",
  "On {date} we expect {name}. It will be {count}. The whole thing costs {amount}.",
  "The porter took a message. {name} has {amount} to spend, {count} in mind, and the date is {date}.",
  "{amount} was paid in at the bank by {name}. It is for {count} on {date}.",
  "For {date} there is one entry so far, {name}, with {count} and {amount}.",
  "Our neighbour told us that {name} comes on {date} for {count} and brings {amount}.",
  "We found a card on the counter. It says {count}, {amount}, {date}, and it is signed by {name}.",
  "Before noon {name} was here in person, asked about {date}, counted out {amount} and spoke of {count}.",
  "By the books, {name} owes the house {amount} since {date}, for {count}.",
  "The house owes {name} {amount} since {date}, for {count}."
]

const againAll = [
  "We read it back: {name}, {date}, {amount}, {count}.",
  "So the diary has {surname} down for {date} with {count} and {amount}.",
  "To be sure, the clerk repeated the name {surname}, the day {date} and the sum of {amount}.",
  "In short, {surname}, {date}, {count}, {amount}.",
  "The answer went out the same day: dear {surname}, we look forward to {date} and to {count}, and we have noted {amount}.",
  "A slip of paper on the board says {surname}, then {amount}, then {date}.",
  "Later the owner asked who it was. It was {surname}. And when? On {date}. And how much? It was {amount}. And how many? It was {count}."
]

const againName = [
  "The name is {surname}, as in the letter.",
  "We spelled the name out loud, {surname}, and wrote {surname} on the list.",
  "Who was it? It was {surname}."
]
const againDate = [
  "The day is {date}, which is day {day} of month {month} in the year {year}.",
  "In numbers that is day {day}, month {month}, year {year}.",
  "The calendar in the hall shows {date} with a red ring.",
  "{date}, to say it once more, is the day.",
  "The year is {year}.",
  "Which year? It is {year}, and the month is number {month}."
]
const againAmount = [
  "The amount is {amount}, no more and no less.",
  "In the ledger it is {amount}.",
  "Written out plainly, the amount is {figure} {currency}.",
  "When the drawer was counted, {amount} was there.",
  "It is reckoned in {currency}, {amount} to be exact.",
  "In which coin? In {currency}. How much of it? It is {figure}.",
  "The bank writes {code} for {currency}, so the slip says {code} {figure}."
]
const againCount = ["It is {count}, so {number} in all.", "How many? It is {count}.", "The cook was told {count}, which means {number}."]

const asides = [
  "It rained all afternoon.",
  "The garden gate is still broken.",
  "Tea was served in the small room.",
  "Nobody else came in before noon.",
  "The cat slept on the letters again.",
  "We lit the fire early, because the hall was cold.",
  "The baker brought two loaves too many.",
  "The new lamp in the corridor works well.",
  "The road to the station was closed for an hour.",
  "Fresh linen came up from the laundry.",
  "The kitchen tried a soup of leeks and potatoes.",
  "A guest left an umbrella under the stairs.",
  "The windows on the first floor were cleaned.",
  "The post was late."
]

const lists = [
  "The list on the board: {list}. Read again from the top: {list}.",
  "The porter called out {list}, and the maid answered {list}.",
  "In pencil it said {list}. In ink it says {list}.",
  "So it stood: {list}, said the letter. And {list}, wrote the clerk.",
  "Heard on the telephone: {list}. Said back to be safe: {list}.",
  "Yesterday's page ends with {list}. Today's page begins with {list}."
]
const items = ["{name}", "{name}", "{surname}", "{surname}", "{amount}", "{date}", "{surname} with {amount}", "{surname} on {date}", "the year {year}", "{year}", "{count}"]

const currencies = { EUR: "euros", USD: "dollars", GBP: "pounds" }

/** One matter's parts, each use of them in words of its own. */
const wordsOf = (draw: Draw, { name, date, amount }: Entities): Readonly<Record<string, () => string>> => {
  const number = 1 + below(draw, 14)
  const noun = pick(draw, ["night", "night", "guest", "guest", "chair", "meal"])
  return {
    name: () => sayName(draw, name),
    surname: () => name,
    date: () => sayDate(draw, date),
    day: () => `${date.day}`,
    month: () => `${date.month}`,
    year: () => `${date.year}`,
    amount: () => sayAmount(draw, amount),
    figure: () => (amount.cents / 100).toFixed(amount.cents % 100 === 0 ? 0 : 2),
    currency: () => currencies[amount.currency],
    code: () => amount.currency,
    count: () => sayCount(draw, number, noun),
    number: () => `${number}`
  }
}

/** What is said of one matter: a report, then `again` restatements, now and then with an aside at the end. */
const matter = (draw: Draw, entities: Entities, again: number): readonly string[] => {
  const slots = wordsOf(draw, entities)
  const parts = shuffled(draw, [againName, againDate, againAmount, againCount, againAll, againAll]).slice(0, again)
  const aside = draw() < 0.3 ? [pick(draw, asides)] : []
  return [pick(draw, reports), ...parts.map((list) => pick(draw, list)), ...aside].map((frame) => capitalized(fill(frame, slots)))
}

/** A list of three to six things, said twice in the same words. */
const list = (draw: Draw, entities: () => Entities): string => {
  const said = Array.from({ length: 3 + below(draw, 4) }, () => fill(pick(draw, items), wordsOf(draw, entities()))).join(", ")
  return capitalized(fill(pick(draw, lists), { list: () => said }))
}

/** `size` notes, one a paragraph: every other one is a list, the others tell of one matter, or of two one after the other. */
export const notes = (size: number, entities: (i: number) => Entities): string => {
  const draw = drawFrom(5)
  let used = 0
  const next = (): Entities => entities(used++)
  const tale = (): string => (draw() < 0.7 ? [3 + below(draw, 3)] : [1, 2]).flatMap((again) => matter(draw, next(), again)).join(" ")
  return `${Array.from({ length: size }, (_, i) => (i % 2 === 0 ? tale() : list(draw, next))).join("\n\n")}\n`
}
