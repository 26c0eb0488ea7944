// Rounding of reference arithmetic: Math.fround gives the kernels' bytes, `exact` the values that tests compare with.
export type Round = (x: number) => number
export const exact: Round = (x) => x
