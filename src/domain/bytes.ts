// Sizes as people read them.

/** 1500 -> "1.5 kB", 31200000000 -> "31.2 GB" (decimal units). */
export const bytes = (count: number): string => {
  if (count < 1000) return `${count} B`
  const unit = count < 1e6 ? 1 : count < 1e9 ? 2 : 3
  return `${(count / 1000 ** unit).toFixed(1)} ${["B", "kB", "MB", "GB"][unit]}`
}
