// What a plan chose for fields that were left to it, as commands and lines show it.

type Auto = Readonly<Record<string, string | number | null>>

/** "batchSize 16 (auto), device cpu (auto)"; `prefix` stands before each name. */
export const autoText = (auto: Auto, prefix = ""): string =>
  Object.entries(auto)
    .map(([field, value]) => `${prefix}${field} ${value === null ? "(auto: known once the base is downloaded)" : `${value} (auto)`}`)
    .join(", ")

/** One line over several stages; none where nothing was left to the plan. */
export const autoLines = (stages: readonly { readonly id: string; readonly auto?: Auto }[]): readonly string[] => {
  const texts = stages.flatMap(({ id, auto = {} }) => (Object.keys(auto).length === 0 ? [] : [autoText(auto, `${id}.`)]))
  return texts.length === 0 ? [] : [`  ${texts.join(", ")}`]
}
