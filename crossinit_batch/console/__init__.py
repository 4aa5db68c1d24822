"""What a terminal or a log shows of a run: bars, plain lines, tables, and the counts behind them."""
