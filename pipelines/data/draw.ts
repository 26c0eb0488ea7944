// Seeded drawing for the generators of this folder: the same seed gives the same files on every machine.

/** mulberry32: a number in [0, 1) a call. */
export type Draw = () => number

export const drawFrom = (seed: number): Draw => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export const below = (draw: Draw, n: number): number => Math.floor(draw() * n)

export const pick = <A>(draw: Draw, list: readonly A[]): A => list[below(draw, list.length)] as A

/** Fisher-Yates, into a new array. */
export const shuffled = <A>(draw: Draw, list: readonly A[]): readonly A[] => {
  const out = [...list]
  for (let i = out.length - 1; i > 0; i--) {
    const j = below(draw, i + 1)
    ;[out[i], out[j]] = [out[j] as A, out[i] as A]
  }
  return out
}

/** Replaces every `{slot}` by a text of its own drawing, so that two uses of one slot may be phrased differently. */
export const fill = (frame: string, slots: Readonly<Record<string, () => string>>): string =>
  frame.replaceAll(/\{(\w+)\}/g, (_, slot: string) => {
    const text = slots[slot]
    if (text === undefined) throw new Error(`no text for {${slot}} in "${frame}"`)
    return text()
  })

export const capitalized = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1)
