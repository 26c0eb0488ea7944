// Times as people read them.

/** Milliseconds as "0.3s", "42s", "10m52s", "3h05m". */
export const duration = (ms: number): string => {
  if (ms < 9950) return `${(ms / 1000).toFixed(1)}s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds}s`
  const two = (n: number): string => String(n).padStart(2, "0")
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`
  return `${Math.floor(seconds / 3600)}h${two(Math.floor((seconds % 3600) / 60))}m`
}
