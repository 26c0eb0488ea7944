// Synonyms from WordNet database files (index.*, data.*; format: wndb(5WN)), searched in the bytes without parsing all of them.
import { readFileSync } from "node:fs"
import { join } from "node:path"

export interface WordNet {
  /**
   * Other single words of the first (most frequent) sense that the lower-case word has as noun, verb, adjective and adverb, in that
   * order, without repetitions. Inflected forms are not looked up: an empty list.
   */
  readonly synonyms: (word: string) => readonly string[]
}

/** Opens the folder that holds the eight files; they are read at the first question. */
export const openWordNet = (folder: string): WordNet => {
  let files: readonly (readonly [index: Buffer, data: Buffer])[] | undefined
  const known = new Map<string, readonly string[]>()
  const find = (word: string): readonly string[] => {
    files ??= ["noun", "verb", "adj", "adv"].map((part) => [
      readFileSync(join(folder, `index.${part}`)),
      readFileSync(join(folder, `data.${part}`))
    ])
    const found = files.flatMap(([index, data]) => {
      const offset = firstSense(index, word)
      return offset === undefined ? [] : synset(data, offset)
    })
    return [...new Set(found)].filter((other) => other !== word && /^[a-z]+$/.test(other))
  }
  return {
    synonyms: (word) => {
      const answer = known.get(word) ?? find(word)
      known.set(word, answer)
      return answer
    }
  }
}

// Lines are sorted by lemma: "lemma pos synset_cnt p_cnt [ptr_symbol...] sense_cnt tagsense_cnt offset [offset...]".
// The licence at the top begins with spaces, which sort before every lemma.
const firstSense = (index: Buffer, word: string): number | undefined => {
  let low = 0
  let high = index.length
  while (low < high) {
    const start = index.lastIndexOf(10, (low + high) >> 1) + 1
    const from = Math.max(start, low)
    const newline = index.indexOf(10, from)
    const end = newline === -1 ? index.length : newline
    const lemma = index.toString("latin1", from, Math.max(from, index.indexOf(32, from)))
    if (lemma === word) {
      const fields = index.toString("latin1", from, end).trimEnd().split(" ")
      return Number(fields[6 + Number(fields[3])])
    }
    if (lemma < word) low = end + 1
    else high = from
  }
  return undefined
}

// "offset lex_filenum ss_type w_cnt word lex_id [word lex_id...] …": w_cnt is hexadecimal; adjectives may carry "(p)".
const synset = (data: Buffer, offset: number): readonly string[] => {
  const fields = data.toString("latin1", offset, data.indexOf(10, offset)).split(" ")
  const count = Number.parseInt(fields[3] as string, 16)
  return Array.from({ length: count }, (_, i) => (fields[4 + 2 * i] as string).replace(/\(.*\)$/, ""))
}
