// The base model's tokenizer in Hugging Face's tokenizer.json form: byte-level BPE whose merges come from base.txt. Figures are
// cut into pairs of digits from the left, one token each, so that a day, a month or half a year is one token wherever it stands.

/** GPT-2's alphabet: each byte as one printable character. */
const byteCharacters = (): readonly string[] => {
  const printable = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174
  let next = 256
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(printable(b) ? b : next++))
}

// What the two pre-tokenizers below cut a text into, figures left out: merges never cross these borders.
const words = /'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu

interface Word {
  readonly count: number
  symbols: readonly string[]
}

const join = (symbols: readonly string[], left: string, right: string): readonly string[] => {
  const out: string[] = []
  for (let i = 0; i < symbols.length; i++) {
    const pair = symbols[i] === left && symbols[i + 1] === right
    out.push(pair ? left + right : (symbols[i] as string))
    if (pair) i++
  }
  return out
}

/** The `size` most frequent pairs, one after the other; ties go by code point order. */
const learnMerges = (text: string, alphabet: readonly string[], size: number): readonly (readonly [string, string])[] => {
  const counts = new Map<string, number>()
  for (const piece of text.split(/[0-9]/)) for (const [word] of piece.matchAll(words)) counts.set(word, (counts.get(word) ?? 0) + 1)
  const list: Word[] = [...counts].map(([word, count]) => ({
    count,
    symbols: [...new TextEncoder().encode(word)].map((byte) => alphabet[byte] as string)
  }))
  const pairs = new Map<string, number>()
  const tally = ({ symbols }: Word, count: number): void => {
    for (let i = 1; i < symbols.length; i++) {
      const pair = `${symbols[i - 1]} ${symbols[i]}`
      pairs.set(pair, (pairs.get(pair) ?? 0) + count)
    }
  }
  for (const word of list) tally(word, word.count)
  return Array.from({ length: size }, () => {
    const [best] = [...pairs].reduce((a, b) => (b[1] > a[1] || (b[1] === a[1] && b[0] < a[0]) ? b : a))
    const [left = "", right = ""] = best.split(" ")
    for (const word of list) {
      const symbols = join(word.symbols, left, right)
      if (symbols.length === word.symbols.length) continue
      tally(word, -word.count)
      word.symbols = symbols
      tally(word, word.count)
    }
    return [left, right] as const
  })
}

export const specials = ["<s>", "</s>", "<pad>"]

const digits = Array.from({ length: 10 }, (_, digit) => `${digit}`)
const digitPairs = digits.flatMap((a) => digits.map((b) => [a, b] as const))

/** tokenizer.json of `vocabSize` tokens: 3 special ones, 256 bytes, 100 pairs of digits, then merges. */
export const makeTokenizer = (text: string, vocabSize: number) => {
  const alphabet = byteCharacters()
  const merges = [...digitPairs, ...learnMerges(text, alphabet, vocabSize - specials.length - alphabet.length - digitPairs.length)]
  const tokens = [...specials, ...alphabet, ...merges.map((pair) => pair.join(""))]
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specials.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true
    })),
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: "[0-9]{1,2}" }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true }
      ]
    },
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
      special_tokens: { "<s>": { id: "<s>", ids: [0], tokens: ["<s>"] } }
    },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: merges.map((pair) => pair.join(" "))
    }
  }
}
