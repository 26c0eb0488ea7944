// Words that carry grammar rather than meaning: a synonym of them only breaks the sentence.
export const stopWords: ReadonlySet<string> = new Set(
  (
    "a an the this that these those some any each every no all both few many much more most other another such what which who whom whose " +
    "i me my mine myself you your yours he him his she her hers it its we us our ours they them their theirs " +
    "am is are was were be been being have has had having do does did doing will would shall should can could may might must " +
    "and or but nor so yet if then than as at by for from in into of off on onto out over to up with without about after before " +
    "between through during under again there here when where why how not only own same too very just now one two"
  ).split(" ")
)
