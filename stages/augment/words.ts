// A text as words that can be edited one by one: what stands around a word (spaces, punctuation) stays where it is.

export interface Word {
  /** Whitespace before the word, "" before the first one unless the text begins with it. */
  readonly space: string
  /** Punctuation before and after the letters. */
  readonly before: string
  readonly letters: string
  readonly after: string
}

/** The words, and the whitespace after the last one. */
export const parseWords = (text: string): { readonly words: readonly Word[]; readonly tail: string } => {
  const words = [...text.matchAll(/(\s*)(\S+)/g)].map(([, space = "", whole = ""]): Word => {
    const [, before = "", letters = "", after = ""] = /^([^\p{L}\p{N}]*)(.*?)([^\p{L}\p{N}]*)$/su.exec(whole) ?? []
    return { space, before, letters, after }
  })
  return { words, tail: /\s*$/.exec(text)?.[0] ?? "" }
}

export const joinWords = (words: readonly Word[], tail: string): string =>
  words.map((word) => word.space + word.before + word.letters + word.after).join("") + tail

const isCapitalised = (word: string): boolean => /^\p{Lu}\p{Ll}+$/u.test(word)
const capitalise = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1)

/** `word` written as `like` is: capitalised, all capitals or as it stands. */
export const withCaseOf = (word: string, like: string): string => {
  if (isCapitalised(like)) return capitalise(word)
  return like.length > 1 && like === like.toUpperCase() && like !== like.toLowerCase() ? word.toUpperCase() : word
}

/** Two neighbours in the other order; the capital that begins a sentence stays at its beginning, punctuation at its place. */
export const swapped = (first: Word, second: Word): readonly [Word, Word] => {
  const fix = isCapitalised(first.letters) && second.letters === second.letters.toLowerCase()
  return [
    { ...first, letters: fix ? capitalise(second.letters) : second.letters },
    { ...second, letters: fix ? first.letters.toLowerCase() : first.letters }
  ]
}
