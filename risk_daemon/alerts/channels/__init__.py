"""The ways to people: each sends one alert once and says what became of it."""
