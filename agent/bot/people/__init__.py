"""Who is meant, who is answered, and what keeps two programs from talking for ever."""
