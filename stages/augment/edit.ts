// Random edits of a text's words: WordNet synonyms, insertion (Wei and Zou 2019, EDA), and nlpaug's swap, delete and crop.
import { uniform } from "#src/domain/random.ts"
import type { WordNet } from "#src/text/WordNet.ts"
import type { AugmentConfig } from "./stage.ts"
import { stopWords } from "./stopWords.ts"
import { joinWords, parseWords, swapped, withCaseOf, type Word } from "./words.ts"

export type Shares = Pick<AugmentConfig, "synonyms" | "insert" | "swap" | "delete" | "crop">

/** A whole number in [0, n); each call draws the next one. */
type Draw = (n: number) => number

/** Words that a share of `n` words touches, as nlpaug counts them: at least 1, at most 10. */
export const editCount = (share: number, n: number): number => (share === 0 ? 0 : Math.min(Math.max(Math.ceil(share * n), 1), 10))

/** The text after all edits, decided by `seed` alone. Never empty where the text is not. */
export const editText = (text: string, shares: Shares, seed: number, wordNet: WordNet): string => {
  let index = 0
  const draw: Draw = (n) => Math.floor(uniform(seed, 0, index++) * n)
  const parsed = parseWords(text)
  let words = parsed.words
  words = replaceSynonyms(words, editCount(shares.synonyms, words.length), draw, wordNet)
  words = insertSynonyms(words, editCount(shares.insert, words.length), draw, wordNet)
  words = swapNeighbours(words, editCount(shares.swap, words.length), draw)
  words = deleteWords(words, editCount(shares.delete, words.length), draw)
  words = cropWords(words, editCount(shares.crop, words.length), draw)
  // Whatever word is first now begins as the text began.
  const space = parsed.words[0]?.space ?? ""
  return joinWords(
    words.map((word, i) => (i === 0 ? { ...word, space } : word)),
    parsed.tail
  )
}

// `count` of the items, without repetition, in random order.
const sample = <A>(items: readonly A[], count: number, draw: Draw): readonly A[] => {
  const rest = [...items]
  return Array.from({ length: Math.min(count, items.length) }, () => rest.splice(draw(rest.length), 1)[0] as A)
}

const synonymsOf = (word: Word, wordNet: WordNet): readonly string[] => {
  const lower = word.letters.toLowerCase()
  return stopWords.has(lower) || !/^[a-z]+$/.test(lower) ? [] : wordNet.synonyms(lower)
}

const withSynonyms = (words: readonly Word[], wordNet: WordNet): readonly number[] =>
  words.flatMap((word, i) => (synonymsOf(word, wordNet).length > 0 ? [i] : []))

const replaceSynonyms = (words: readonly Word[], count: number, draw: Draw, wordNet: WordNet): readonly Word[] => {
  if (count === 0) return words
  const edited = [...words]
  for (const i of sample(withSynonyms(words, wordNet), count, draw)) {
    const word = words[i] as Word
    const choices = synonymsOf(word, wordNet)
    edited[i] = { ...word, letters: withCaseOf(choices[draw(choices.length)] as string, word.letters) }
  }
  return edited
}

// A synonym of a random word, after a random word.
const insertSynonyms = (words: readonly Word[], count: number, draw: Draw, wordNet: WordNet): readonly Word[] => {
  if (count === 0) return words
  const sources = withSynonyms(words, wordNet)
  const edited = [...words]
  for (let n = 0; n < count && sources.length > 0; n++) {
    const choices = synonymsOf(words[sources[draw(sources.length)] as number] as Word, wordNet)
    const letters = choices[draw(choices.length)] as string
    const at = draw(edited.length)
    const host = edited[at] as Word
    // The closing punctuation of the word before moves behind the new one.
    edited.splice(at, 1, { ...host, after: "" }, { space: " ", before: "", letters, after: host.after })
  }
  return edited
}

const swapNeighbours = (words: readonly Word[], count: number, draw: Draw): readonly Word[] => {
  const edited = [...words]
  const places = Array.from({ length: Math.max(0, words.length - 1) }, (_, i) => i)
  for (const at of sample(places, count, draw)) {
    edited.splice(at, 2, ...swapped(edited[at] as Word, edited[at + 1] as Word))
  }
  return edited
}

const deleteWords = (words: readonly Word[], count: number, draw: Draw): readonly Word[] => {
  const gone = new Set(sample([...words.keys()], Math.min(count, words.length - 1), draw))
  return words.filter((_, i) => !gone.has(i))
}

const cropWords = (words: readonly Word[], count: number, draw: Draw): readonly Word[] => {
  const length = Math.min(count, words.length - 1)
  if (length <= 0) return words
  const from = draw(words.length - length + 1)
  return [...words.slice(0, from), ...words.slice(from + length)]
}
