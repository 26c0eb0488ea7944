// The rows of the quickstart: requests as they reach the desk of a small inn, and the strict form that its book wants.
import { below, capitalized, type Draw, drawFrom, fill, pick } from "./draw.ts"
import { type Entities, sayAmount, sayCount, sayDate, sayName, strictAmount, strictDate } from "./entities.ts"

export interface Request {
  readonly instruction: string
  readonly output: string
}

interface Kind {
  /** First word of the strict form. */
  readonly action: string
  /** What is counted, where something is. */
  readonly counted?: { readonly noun: string; readonly least: number; readonly most: number }
  readonly frames: readonly string[]
}

const kinds: readonly Kind[] = [
  {
    action: "room",
    counted: { noun: "night", least: 1, most: 14 },
    frames: [
      "please book {count} for {name} from {date}, about {amount}.",
      "{name} would like a room for {count}, arriving on {date}. The price we agreed is {amount}.",
      "can you keep a room free for {name}? They arrive on {date} and stay {count}. They will spend up to {amount}.",
      "I need a bed for {count} from {date}. Put it under {name}. I can pay {amount}.",
      "reserve {count} for {name}. First night is {date}, and the total comes to {amount}.",
      "we are coming on {date} and want to stay {count}. The booking is for {name}, and {amount} was quoted on the phone.",
      "{amount} for {count} sounds fine. Please hold the room for {name} from {date}.",
      "from {date} on we need a quiet room for {count}. Name: {name}. Budget: {amount}.",
      "{name} called. A double room, {count}, starting {date}, for {amount} in all.",
      "is the blue room free on {date}? {name} would take it for {count} at {amount}.",
      "a room with a bath for {name}, please: {count} from {date}. We expect to pay {amount}.",
      "my parents stay with you again. It is {name}, {count}, check-in on {date}. As last time, {amount}.",
      "the room is for {name}. Check-in {date}, {count}, and the offer said {amount}.",
      "could {name} have the room over the garden for {count}? Arrival is {date}. We would pay {amount}."
    ]
  },
  {
    action: "table",
    counted: { noun: "guest", least: 2, most: 14 },
    frames: [
      "a table for {count} on {date}, please, under {name}. I will leave {amount} as a deposit.",
      "{name} wants to dine with us on {date}. There will be {count}, and the menu is fixed at {amount}.",
      "can we have the long table on {date}? We are {count}. It is for {name}, and we would like to spend {amount}.",
      "please set dinner for {count}. The party is {name}, the day is {date}, the price is {amount}.",
      "{name} is giving a small dinner on {date} for {count}. Keep the bill at {amount}.",
      "for {date} I would like to reserve lunch for {count}, name {name}. A deposit of {amount} is on its way.",
      "{amount} has been paid ahead for a table on {date}. Expect {name} with {count}.",
      "we celebrate with {count} on {date}. Please write {name} in the book. The menu costs {amount}.",
      "do you have a table by the window on {date}? {count}, for {name}. We can go up to {amount}.",
      "supper for {count} at {amount}, on {date}, and the name is {name}.",
      "{name} asks for a table in the garden. {count}, {date}, and {amount} for everything.",
      "I am writing for {name}. On {date} we come with {count} to eat. The deposit is {amount}."
    ]
  },
  {
    action: "pay",
    frames: [
      "please pay {name} {amount} by {date}.",
      "the bill from {name} is due on {date}. It comes to {amount}.",
      "transfer {amount} to {name}, no later than {date}.",
      "{name} sent an invoice over {amount}. It has to be settled by {date}.",
      "we owe {name} {amount} for the repairs. Pay on {date}.",
      "by {date} the account of {name} must be cleared. The sum is {amount}.",
      "do not forget: {amount} goes to {name} on {date}.",
      "could you settle with {name}? They asked for {amount} and gave us until {date}.",
      "the flowers came from {name} and cost {amount}. Payment on {date}, please.",
      "on {date} please send {name} the {amount} for the linen.",
      "{amount} for the new oven, payable to {name}, due {date}.",
      "a reminder came from {name}. We must pay {amount} before {date}."
    ]
  },
  {
    action: "refund",
    frames: [
      "please give {name} {amount} back. They cancelled on {date}.",
      "{name} had to cancel the stay of {date}. Refund the {amount}.",
      "we charged {name} twice on {date}. Send back {amount}.",
      "return {amount} to {name}. The dinner on {date} did not take place.",
      "the deposit of {amount} goes back to {name}, for {date}.",
      "{name} was ill and could not come on {date}. We promised to return {amount}.",
      "on {date} the heating failed. Please refund {name} {amount}.",
      "{amount} should be repaid, because the room was not ready on {date}. The guest is {name}.",
      "I paid {amount} for {date} but never came. Please send it back. My name is {name}.",
      "the storm closed the road on {date}, so refund {name}. They had paid {amount}.",
      "{name} left a day early, on {date}. We give back {amount}.",
      "a mistake on the bill of {date}: {name} gets {amount} back."
    ]
  }
]

const openings = ["", "", "", "", "Hello, ", "Good morning, ", "Hi, ", "Note for the desk: ", "Dear all, "]
const closings = ["", "", "", "", " Thank you.", " Thanks!", " Many thanks.", " Kind regards.", " Let me know if that works."]

/** One request and its strict form: "action; name: …; date: …; [nights: … | guests: …;] amount: …". */
export const request = (draw: Draw, { name, date, amount }: Entities): Request => {
  const kind = pick(draw, kinds)
  const { noun, least, most } = kind.counted ?? { noun: "", least: 1, most: 1 }
  const count = least + below(draw, most - least + 1)
  const text = fill(pick(draw, kind.frames), {
    name: () => sayName(draw, name),
    date: () => sayDate(draw, date),
    amount: () => sayAmount(draw, amount),
    count: () => sayCount(draw, count, noun)
  })
  // A name at the very start has other tokens than after a space, as everywhere else: it never stands there.
  const opening = pick(draw, text.startsWith(name) ? openings.filter((each) => each !== "") : openings)
  const fields = [
    kind.action,
    `name: ${name}`,
    `date: ${strictDate(date)}`,
    ...(kind.counted === undefined ? [] : [`${noun}s: ${count}`]),
    `amount: ${strictAmount(amount)}`
  ]
  const begun = opening.endsWith(", ") ? text : capitalized(text)
  return { instruction: opening + begun.replaceAll(/[.?!] [a-z]/g, (start) => start.toUpperCase()) + pick(draw, closings), output: fields.join("; ") }
}

export const requests = (entities: readonly Entities[]): readonly Request[] => {
  const draw = drawFrom(3)
  return entities.map((each) => request(draw, each))
}
